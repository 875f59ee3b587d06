import { LOST_COMMITS } from '../../../core/fleet/fleet-report.ts';
import type { Category, Code } from '../codes.ts';
import type { Finding } from '../finding.ts';
import type { LiveRemit } from './remit-facts.ts';

/** What an unmet gate of readiness means. */
interface GateEntry {
  readonly code: Code;
  readonly fix: string;
}

/** The gates of `/readyz` by their names. */
const gates: ReadonlyMap<string, GateEntry> = new Map<string, GateEntry>([
  [
    'policies',
    { code: 'policy.not-loaded', fix: 'correct what it names, check with `remit policy validate`, then reload' },
  ],
  [
    'keys',
    {
      code: 'issuer.keys-missing',
      fix: 'make the `jwks` of that issuer in `acceptedIssuers` reachable, or correct it',
    },
  ],
  [
    'signing-key',
    { code: 'issuer.signing-key', fix: 'wait until the key was published for its time; see `remit key list`' },
  ],
  ['state', { code: 'ledger.state', fix: 'see the log for `fault`: disk full, file locked or broken' }],
  [
    'database',
    {
      code: 'ledger.state',
      fix: 'make the primary of the PostgreSQL reachable, with the standbys that commits wait for',
    },
  ],
  [
    LOST_COMMITS,
    {
      code: 'ledger.state',
      fix: 'bring the lost commits back, or accept their loss: deploy/guide/watch/runbooks/RemitDatabaseLostCommits.md',
    },
  ],
  ['ledger', { code: 'ledger.not-written', fix: 'make room on its disk' }],
  ['records', { code: 'ledger.not-written', fix: 'make an authority reachable, which acknowledges records' }],
  [
    'lease',
    {
      code: 'lease.lost',
      fix: 'make the authority that `state` names reachable; `remit fleet` there lists who follows',
    },
  ],
  ['position', { code: 'lease.refused', fix: 'see the log for why the authority refuses this sidecar' }],
  ['authority', { code: 'lease.not-given', fix: 'see the log for why no lease is given' }],
  [
    'svid',
    {
      code: 'identity.no-svid',
      fix: 'make the Workload API reachable with a registration entry for this process, or correct `svid`',
    },
  ],
  [
    'mesh',
    {
      code: 'platform.behind-sidecar',
      fix: 'label its pod `sidecar.istio.io/inject: "false"`, as the chart does, or exclude its ports from the sidecar',
    },
  ],
  ['drain', { code: 'platform.draining', fix: 'nothing: it is about to stop' }],
]);

/** Findings of the unmet gates of a category. A gate that this version does not know counts as a gate of the platform. */
export const unmetGates = ({ unmet }: LiveRemit, category: Category): readonly Finding[] =>
  unmet.flatMap(([gate, problem]): readonly Finding[] => {
    const { code, fix } = gates.get(gate) ?? { code: 'platform.not-ready' as const, fix: 'see `/readyz` and the log' };
    return code.startsWith(`${category}.`)
      ? [{ code, where: `gate/${gate}`, message: `Remit is not ready: ${problem}`, fix }]
      : [];
  });
