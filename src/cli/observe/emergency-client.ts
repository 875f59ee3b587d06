/** The issuer's API of emergencies, for an operator. */
import { OwnSvid } from '../../agent/run/own-svid.ts';
import { askIssuer } from '../../agent/task/issuer-call.ts';
import type { IssuerPlace, OutgoingRequest } from '../../agent/task/issuer-call.ts';
import { issuerValueOf } from '../../agent/task/issuer-client.ts';
import { isIssuerProblem } from '../../agent/task/issuer-problem.ts';
import type { TimedReceipt } from '../../core/fleet/receipt.ts';
import type { EmergencyJson } from '../../core/order/emergency-json.ts';
import { orderLimits } from '../../core/order/order.ts';
import { bool, integer, listOf, members, optional, orNull, text } from '../../core/runtime/fields.ts';
import type { Reader } from '../../core/runtime/fields.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import { taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

/** An emergency that was started or ended, with its receipt; `null` if the authority serves no sidecars. */
export interface ChangedEmergency extends EmergencyJson {
  readonly enforcement: TimedReceipt | null;
}

/** What an operator asks for. */
export interface WantedEmergency {
  readonly agents: readonly string[];
  readonly servers?: readonly string[];
  readonly minutes?: number;
  readonly because: string;
}

/** The receipt comes once every sidecar has the order or its lease is over: twice the longest lease of 60 s, and a margin. */
const TIMEOUT_MS = 150_000;
const TICK_MS = 1_000;

/** Starts an emergency, and waits at most 150 s for its receipt. A refusal if it is not allowed or the issuer does not answer. */
export const startEmergency = (
  place: IssuerPlace,
  wanted: WantedEmergency,
  io: Io,
): Promise<ChangedEmergency | CommandRefusal> =>
  asked({ method: 'POST', path: '/emergencies', headers: JSON_BODY, body: JSON.stringify(wanted) }, changed, {
    place,
    io,
  });

/** Ends an emergency before its time, for a reason if one is given. */
export const endEmergency = (
  place: IssuerPlace,
  { id, because }: { readonly id: string; readonly because: string | undefined },
  io: Io,
): Promise<ChangedEmergency | CommandRefusal> => {
  const why =
    because === undefined ? { headers: {}, body: '' } : { headers: JSON_BODY, body: JSON.stringify({ because }) };
  return asked({ method: 'POST', path: `/emergencies/${id}/end`, ...why }, changed, { place, io });
};

/** The emergencies in force. */
export const emergenciesAt = (
  place: IssuerPlace,
  io: Io,
): Promise<{ readonly emergencies: readonly EmergencyJson[] } | CommandRefusal> =>
  asked({ method: 'GET', path: '/emergencies', headers: {}, body: '' }, list, { place, io });

type Io = Pick<CommandIo, 'progress'>;

const JSON_BODY = { 'content-type': 'application/json' };

const others = { others: 'ignored' } as const;
const words = text({ max: 2_048 });
const names = listOf(words, { max: orderLimits.maxEntries });

const emergency = {
  id: text({ max: 16 }),
  agents: names,
  servers: orNull(names),
  by: words,
  because: words,
  made: text({ max: 32 }),
  until: text({ max: 32 }),
};
const count = integer(0, Number.MAX_SAFE_INTEGER);
const receipt = members({ enforced: bool, holders: count, acknowledged: count, fenced: count, ms: count }, others);
const changed = members({ ...emergency, enforcement: optional(receipt) }, others);
const list = members(
  { emergencies: listOf(members(emergency, others), { min: 0, max: orderLimits.maxObserving }) },
  others,
);

/** Asks with the SVID of the operator, and says on a terminal how long it has waited. */
async function asked<T>(
  request: OutgoingRequest,
  reader: Reader<T>,
  { place, io }: { readonly place: IssuerPlace; readonly io: Io },
): Promise<T | CommandRefusal> {
  const own = await OwnSvid.open(place.svid, systemPorts);
  const beganMs = systemPorts.monotonicMs();
  const ticking = setInterval(() => {
    const seconds = Math.floor((systemPorts.monotonicMs() - beganMs) / 1_000);
    io.progress?.(`waiting until every sidecar has it, or its lease is over: ${seconds} s`);
  }, TICK_MS);
  try {
    const svid = await own.now();
    if ('problem' in svid) return taskRefusal(`no SVID to connect with: ${svid.problem}`);
    const answer = await askIssuer(place, svid, { ...request, timeoutMs: TIMEOUT_MS });
    const value = isIssuerProblem(answer) ? answer : issuerValueOf(answer, reader);
    return isIssuerProblem(value) ? taskRefusal(`${value.error}: ${value.description}`, exitOf(value.error)) : value;
  } finally {
    clearInterval(ticking);
    io.progress?.('');
    own.close();
  }
}

/** A refusal by the authority is the answer no; a failed or an invalid request is bad use. */
const exitOf = (error: string): number => (error === 'access_denied' || error === 'not_found' ? EXIT.no : EXIT.bad);
