import type { FleetReport, SidecarReport } from '../fleet/fleet-report.ts';
import { printable } from '../ledger/timeline-text.ts';
import { adminAnswer, DEFAULT_ADMIN } from './admin-answer.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { counted } from './finding-lines.ts';
import { optionsFrom } from './options.ts';

const help = `remit fleet: show an authority and the sidecars that follow it

usage: remit fleet [--admin URL] [--json]

  --admin URL  the admin address of an authority; default \`${DEFAULT_ADMIN}\`
  --json       one object: version, epoch, position, lease_ms, problem, sidecars; each {peer, instance, version, connected,
               lease_left_ms, behind, tasks, policy_set, policy_generation, unacknowledged_records, last_error}

One line for each sidecar, those that are furthest behind first: whether it is connected, how long it may go on deciding without another
answer, how many changes it has not applied, how many tasks it holds, how many records wait for an acknowledgement, its version, its
policies and its last error. A sidecar that has gone is listed until its lease is over. Ask each authority: one knows its own sidecars.

  remit fleet
  remit fleet --json | jq '.sidecars[] | select(.behind > 0)'

exit codes: 0 good, 1 the authority serves no sidecar, 2 bad use or no answer`;

/** `remit fleet`. */
export const fleetCommand: Command = { name: 'fleet', help, run: fleet };

async function fleet(args: readonly string[], io: Pick<CommandIo, 'out' | 'err'>): Promise<number> {
  const options = optionsFrom(
    args,
    { admin: { type: 'string', default: DEFAULT_ADMIN }, json: { type: 'boolean', default: false } },
    0,
  );
  const text = typeof options === 'string' ? { problem: options } : await adminAnswer(options.values.admin, '/fleet');
  if (typeof options === 'string' || typeof text !== 'string') {
    io.err(`remit fleet: ${typeof text === 'string' ? text : text.problem}`);
    return EXIT.bad;
  }
  // Safe: the answer of our own server, at the operator's address.
  const report = JSON.parse(text) as FleetReport;
  if (options.values.json) io.out(text.trim());
  else for (const line of linesOf(report)) io.out(printable(line));
  return report.problem === null ? EXIT.good : EXIT.no;
}

function linesOf({ version, epoch, position, lease_ms: leaseMs, problem, sidecars }: FleetReport): readonly string[] {
  const authority = `authority ${version}: change ${position} of ${epoch}, lease ${leaseMs / 1_000} s`;
  return [
    problem === null ? authority : `${authority}\nserves no sidecar: ${problem}`,
    ...sidecars.map(lineOf),
    counted(sidecars.length, 'sidecar'),
  ].flatMap((text) => text.split('\n'));
}

const lineOf = (sidecar: SidecarReport): string =>
  [
    sidecar.connected ? 'connected' : 'gone     ',
    `lease ${(sidecar.lease_left_ms / 1_000).toFixed(1)} s`.padEnd(12),
    `behind ${sidecar.behind}`.padEnd(10),
    counted(sidecar.tasks, 'task').padEnd(10),
    `${counted(sidecar.unacknowledged_records, 'record')} waiting`.padEnd(19),
    sidecar.version.padEnd(7),
    sidecar.policy_set === '' ? 'no policies' : `${sidecar.policy_set.slice(0, 15)} (${sidecar.policy_generation})`,
    `${sidecar.peer} ${sidecar.instance}`,
    ...(sidecar.last_error === '' ? [] : [`last error: ${sidecar.last_error}`]),
  ].join('  ');
