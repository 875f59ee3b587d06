/** `remit fleet`: show an authority and the sidecars that follow it. */
import { LOST_COMMITS } from '../core/fleet/fleet-report.ts';
import type { DatabaseReport, FleetReport, ReplicaReport, SidecarReport } from '../core/fleet/fleet-report.ts';
import { joinedReports } from '../core/fleet/joined-reports.ts';
import { printable } from '../core/ledger/timeline-text.ts';
import { printableJson } from '../core/ledger/printable-json.ts';
import { isProblem } from '../core/runtime/problem.ts';
import type { Problem } from '../core/runtime/problem.ts';
import { adminObject, DEFAULT_ADMIN } from './admin-answer.ts';
import type { AnswerMembers } from './admin-answer.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { findingCounts } from './policy/finding-lines.ts';
import { optionsFrom } from './options.ts';

const help = `remit fleet: show the authorities, their database and the sidecars that follow them

usage: remit fleet [--admin URL ...] [--json]

  --admin URL  the admin address of an authority, once for each; default \`${DEFAULT_ADMIN}\`
  --json       one object: id, version, epoch, position, lease_ms, problem; replicas, each {id, address, version, beat_age_ms, behind,
               lease_ms, sidecars}; database {hosts, standbys, records_wait_s, transaction_open_s, cause, problem} or null; sidecars, each {peer, instance, version, connected,
               lease_left_ms, behind, tasks, policy_set, policy_generation, unacknowledged_records, last_error}

One line for each server of the database, with its role and timeline; for each standby that streams, with what it has not replayed; for
each authority, with the age of its last commit, the changes that are not enforced at its sidecars, and how many follow it; and for each
sidecar: whether it is connected, how long it may go on deciding without another answer, how many changes it has not applied, how many
tasks it holds, how many records wait for an acknowledgement, its version, its policies and its last error. What is furthest behind comes
first. A sidecar that has gone is listed until its lease is over. Each authority knows the sidecars that follow it: name all of them.

  remit fleet
  remit fleet --admin http://10.0.0.1:9471 --admin http://10.0.0.2:9471
  remit fleet --json | jq '.sidecars[] | select(.behind > 0)'

exit codes: 0 good, 1 an authority serves no sidecar or did not answer, 2 bad use or no answer at all`;

/** `remit fleet`. */
export const fleetCommand: Command = { name: 'fleet', help, run: fleet };

async function fleet(args: readonly string[], io: Pick<CommandIo, 'out' | 'err'>): Promise<number> {
  const options = optionsFrom(
    args,
    {
      admin: { type: 'string', multiple: true, default: [DEFAULT_ADMIN] },
      json: { type: 'boolean', default: false },
    },
    0,
  );
  if (typeof options === 'string') {
    io.err(`remit fleet: ${options}`);
    return EXIT.bad;
  }
  const answers = await Promise.all([...new Set(options.values.admin)].map(reportOf));
  const problems = answers.filter(isProblem);
  for (const { problem } of problems) io.err(`remit fleet: ${problem}`);
  const reports = answers.flatMap((answer) => (isProblem(answer) ? [] : [answer.report]));
  const joined = joinedReports(reports);
  if (joined === null) return EXIT.bad;
  if (options.values.json) io.out(printableJson(joined));
  else for (const line of fleetLines(joined, reports)) io.out(printable(line));
  return joined.problem === null && problems.length === 0 ? EXIT.good : EXIT.no;
}

const REPORT: AnswerMembers<FleetReport> = {
  version: 'string',
  epoch: 'string',
  position: 'number',
  lease_ms: 'number',
  replicas: 'array',
  sidecars: 'array',
};

async function reportOf(admin: string): Promise<{ readonly report: FleetReport } | Problem> {
  const read = await adminObject<FleetReport>(admin, '/fleet', { members: REPORT });
  return isProblem(read) ? read : { report: read.answer };
}

function fleetLines(joined: FleetReport, reports: readonly FleetReport[]): readonly string[] {
  const { database, epoch, lease_ms: leaseMs, position, problem, replicas, sidecars, version } = joined;
  const asked = new Set(reports.map(({ id }) => id));
  const unasked = replicas.filter(({ id, sidecars: count }) => !asked.has(id) && count > 0).length;
  return [
    `authority ${version}: change ${position} of ${epoch}, lease ${leaseMs / 1_000} s`,
    ...(problem === null ? [] : [`serves no sidecar: ${problem}`]),
    ...(database === null ? [] : databaseLines(database)),
    ...replicas.map(replicaLine),
    ...sidecars.map(lineOf),
    findingCounts(sidecars.length, 'sidecar'),
    ...(unasked === 0
      ? []
      : [
          `the sidecars of ${findingCounts(unasked, 'other authority', 'other authorities')} are not listed: name its --admin address too`,
        ]),
  ].flatMap((text) => text.split('\n'));
}

function databaseLines({ cause, hosts, problem, standbys }: DatabaseReport): readonly string[] {
  return [
    ...hosts.map(({ host, problem: why, role, timeline }) =>
      [
        'database ',
        role.padEnd(8),
        host,
        ...(timeline === null ? [] : [`timeline ${timeline}`]),
        ...(why === '' ? [] : [why]),
      ].join('  '),
    ),
    ...(standbys ?? []).map(({ address, behind_bytes: bytes, name, state, sync }) =>
      [
        'standby  ',
        state.padEnd(8),
        bytes === null ? 'behind ?' : `behind ${bytes} bytes`,
        sync,
        name,
        ...(address === '' ? [] : [address]),
      ].join('  '),
    ),
    ...(standbys === null ? ['standby    not visible: `GRANT pg_monitor` to the role, or no primary answers'] : []),
    ...(problem === null ? [] : [`${cause === LOST_COMMITS ? cause : 'database problem'}: ${problem}`]),
  ];
}

const replicaLine = (replica: ReplicaReport): string =>
  [
    'authority',
    `beat ${(replica.beat_age_ms / 1_000).toFixed(1)} s ago`.padEnd(14),
    `behind ${replica.behind}`.padEnd(10),
    findingCounts(replica.sidecars, 'sidecar').padEnd(12),
    replica.version.padEnd(7),
    replica.address,
    replica.id,
  ].join('  ');

const lineOf = (sidecar: SidecarReport): string =>
  [
    sidecar.connected ? 'connected' : 'gone     ',
    `lease ${(sidecar.lease_left_ms / 1_000).toFixed(1)} s`.padEnd(12),
    `behind ${sidecar.behind}`.padEnd(10),
    findingCounts(sidecar.tasks, 'task').padEnd(10),
    `${findingCounts(sidecar.unacknowledged_records, 'record')} waiting`.padEnd(19),
    sidecar.version.padEnd(7),
    sidecar.policy_set === '' ? 'no policies' : `${sidecar.policy_set.slice(0, 15)} (${sidecar.policy_generation})`,
    `${sidecar.peer} ${sidecar.instance}`,
    ...(sidecar.last_error === '' ? [] : [`last error: ${sidecar.last_error}`]),
  ].join('  ');
