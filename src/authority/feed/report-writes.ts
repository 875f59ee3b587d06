import { isBounded } from '../../core/fleet/message-bounds.ts';
import type { Report } from '../../core/fleet/messages.ts';
import { reportedUsesFrom } from '../../core/fleet/token-uses.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { Authority, Upkeep } from '../../core/state/authority.ts';
import { causeOf } from '../../core/task/cause.ts';
import type { SidecarRights } from './authorize.ts';
import type { Allowance } from './client-limits.ts';
import type { StreamId } from './sidecar-stream.ts';

/** The writes of reports. */
export type SidecarReportTarget = Pick<
  Authority & Upkeep,
  'floorMs' | 'nowMs' | 'tokenOf' | 'revokeToken' | 'applyTaskEvent' | 'touchTasks' | 'writeSecrets' | 'writeUses'
>;

/** The sidecar that reports. */
export interface ReportingSidecar {
  readonly id: StreamId;
  readonly rights: SidecarRights;
  /** How many static secrets its identity may report now; those beyond are passed over, since their list decides nothing. */
  readonly sightings: Allowance;
}

/** Most entries of each kind in a report. */
export const MAX_ENTRIES = 1_024;

/**
 * Makes the writes of a report: idle times, stolen tokens and uses of tokens of the audiences of the sidecar, and static secrets seen.
 * A report may be repeated: that only counts its static secrets again.
 * @returns the problem, after which the sidecar repeats it; `''` if all is written
 */
export async function writeReport(
  report: Report,
  { id, rights: { audiences }, sightings }: ReportingSidecar,
  target: SidecarReportTarget,
): Promise<string> {
  const { touched, stolen, secrets } = report;
  if (Math.max(touched.length, stolen.length, secrets.length, report.uses.length) > MAX_ENTRIES)
    return 'the report has too many entries';
  const nowMs = target.nowMs();
  // A time in the future would keep a task alive.
  const used = new Map(
    touched.filter((one) => isBounded('Touch', one)).map(({ task_id, at_ms }) => [task_id, Math.min(at_ms, nowMs)]),
  );
  const uses = report.uses.filter((one) => isBounded('TokenUses', one)).flatMap((one) => reportedUsesFrom(one) ?? []);
  const seen = secrets.filter(isSighting).filter(() => sightings.take());
  const writes = [
    ...(used.size === 0 ? [] : [target.touchTasks(used)]),
    ...(seen.length === 0 ? [] : [target.writeSecrets(seen.map(({ times, ...secret }) => ({ secret, times })))]),
    ...(uses.length === 0 ? [] : [target.writeUses(uses, { name: id, audiences: [...audiences] })]),
    ...stolen.filter((one) => isBounded('Stolen', one)).map((one) => revokeStolen(one, audiences, target)),
  ];
  const failure = (await Promise.all(writes)).find(isStoreFailure);
  return failure === undefined ? '' : `not written: ${failure.code}`;
}

/** Revokes a token that another workload presented, and then its task, if the sidecar asks for that. Unknown tokens are skipped. */
async function revokeStolen(
  { jti_digest, is_of_task }: Report['stolen'][number],
  audiences: ReadonlySet<string>,
  target: SidecarReportTarget,
): Promise<unknown> {
  const token = await target.tokenOf(jti_digest);
  if (token === undefined) return null;
  if (isStoreFailure(token)) return token.code === 'refused' ? null : token;
  if (!audiences.has(token.audience)) return null;
  const revoked = await target.revokeToken(jti_digest, CAUSE, 'remit');
  if (isStoreFailure(revoked) || !is_of_task) return revoked;
  return target.applyTaskEvent({ issuer: token.issuer, id: token.taskId }, { kind: 'revoke', cause: CAUSE }, 'remit');
}

/** The only cause for which a sidecar may end anything. */
const CAUSE = causeOf('binding.violation');

const isSighting = (sighting: Report['secrets'][number]): boolean =>
  isBounded('Sighting', sighting) && sighting.times > 0;
