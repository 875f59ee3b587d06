/** `remit observe start`, `remit observe end ID` and `remit observe emergencies`: calls that are only observed for a while, in an emergency. */
import { aligned, printable } from '../../core/ledger/timeline-text.ts';
import { receiptText } from '../../core/fleet/receipt.ts';
import { scopeText } from '../../core/order/order-scope.ts';
import { isOrderId } from '../../core/order/order.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import { issuerFrom, issuerOptions } from '../intent/issuer-options.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { emergenciesAt, endEmergency, startEmergency } from './emergency-client.ts';
import type { ChangedEmergency } from './emergency-client.ts';

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

const { intent: _intent, resource: _resource, ttl: _ttl, ...placeOptions } = issuerOptions;
const common = { ...placeOptions, json: { type: 'boolean', default: false } } as const;
const startOptions = {
  ...common,
  agents: { type: 'string', multiple: true },
  servers: { type: 'string', multiple: true },
  minutes: { type: 'string' },
  because: { type: 'string' },
} as const;

const endOptions = { ...common, because: { type: 'string' } } as const;

/** `remit observe start`: from now on the calls of these agents are only observed, for at most an hour. */
export async function observeStart(args: readonly string[], io: Io): Promise<number | CommandRefusal> {
  const options = optionsFrom(args, startOptions, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { agents = [], servers, minutes, because = '', json, ...values } = options.values;
  if (agents.length === 0) return taskRefusal("--agents is required: SPIFFE IDs or patterns, or '*' with --servers");
  if (because.trim() === '')
    return taskRefusal('--because is required: the reason, such as INC-42, for readers of the record');
  if (minutes !== undefined && !/^[1-9]\d?$/.test(minutes)) return taskRefusal('--minutes must be 1 to 60');
  const place = await issuerFrom(values, io);
  if (isCommandRefusal(place)) return place;
  const wanted = {
    agents,
    because,
    ...(servers === undefined ? {} : { servers }),
    ...(minutes === undefined ? {} : { minutes: Number(minutes) }),
  };
  const made = await startEmergency(place, wanted, io);
  if (isCommandRefusal(made)) return made;
  return shown(made, {
    io,
    isJson: json,
    line: `emergency ${made.id}: ${scopeText(made)} is only observed until ${made.until}`,
    next: made.id,
  });
}

/** Whether the operand of `remit observe end` is the id of an emergency, and not of an entry of the file. */
export const isEmergencyId = (operand: string | undefined): operand is string =>
  operand !== undefined && isOrderId(operand);

/** `remit observe end ID` of an emergency: its calls are enforced again. */
export async function observeEmergencyEnd(args: readonly string[], io: Io): Promise<number | CommandRefusal> {
  const options = optionsFrom(args, endOptions, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const { json, because, ...values } = options.values;
  const [id] = options.operands;
  if (!isEmergencyId(id)) return taskRefusal('the id of an emergency is required: 16 hexadecimal digits');
  if (because?.trim() === '') return taskRefusal('--because must be the reason, such as `INC-42 is over`');
  const place = await issuerFrom(values, io);
  if (isCommandRefusal(place)) return place;
  const ended = await endEmergency(place, { id, because }, io);
  if (isCommandRefusal(ended)) return ended;
  return shown(ended, {
    io,
    isJson: json,
    line: `emergency ${ended.id} has ended: its calls are enforced`,
    next: null,
  });
}

/** `remit observe emergencies`: those in force, as the authority has them. */
export async function observeEmergencies(args: readonly string[], io: Io): Promise<number | CommandRefusal> {
  const options = optionsFrom(args, common, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { json, ...values } = options.values;
  const place = await issuerFrom(values, io);
  if (isCommandRefusal(place)) return place;
  const running = await emergenciesAt(place, io);
  if (isCommandRefusal(running)) return running;
  const { emergencies } = running;
  if (json) io.out(JSON.stringify(emergencies));
  else if (emergencies.length === 0) io.out('no emergency is in force');
  else {
    const rows = emergencies.map((one) => [one.id, one.until, scopeText(one), one.by, one.because].map(printable));
    for (const line of aligned([['ID', 'UNTIL', 'OBSERVED', 'BY', 'BECAUSE'], ...rows])) io.out(line);
  }
  return EXIT.good;
}

function shown(
  { enforcement, ...emergency }: ChangedEmergency,
  {
    io,
    isJson,
    line,
    next,
  }: { readonly io: Io; readonly isJson: boolean; readonly line: string; readonly next: string | null },
): number | CommandRefusal {
  if (isJson) io.out(JSON.stringify(enforcement === null ? emergency : { ...emergency, enforcement }));
  else {
    io.out(printable(line));
    if (enforcement !== null) io.out(receiptText(enforcement));
    if (next !== null)
      io.out(`the alert RemitObserveEmergency fires until it is over; to end it: remit observe end ${next}`);
  }
  return enforcement === null || enforcement.enforced
    ? EXIT.good
    : taskRefusal('sidecars may still decide by the older state', EXIT.no);
}
