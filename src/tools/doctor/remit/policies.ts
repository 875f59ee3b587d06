import type { Finding } from '../finding.ts';
import { unmetGates } from './gates.ts';
import { badMetrics } from './measured.ts';
import type { RemitCheck } from './remit-check.ts';
import type { LiveRemit, PolicyFolder, RemitFacts } from './remit-facts.ts';

/** The policies in force are those on disk and on every sidecar, and can allow something. */
export const policies: RemitCheck = {
  title: 'the policies in force are those that were written, and can allow something',
  run: (facts) => {
    const { host, live } = facts;
    const folder = host?.policies ?? null;
    if (live === null && folder === null) return null;
    return [
      ...(live === null
        ? []
        : [...unmetGates(live, 'policy'), ...badMetrics(live, 'policy'), ...trial(live), ...skew(live)]),
      ...(folder === null ? [] : [...invalid(folder), ...noPermit(folder), ...lints(folder)]),
      ...differing(facts),
    ];
  },
};

const MAX_PROBLEMS = 3;

const whereOf = ({ folder }: PolicyFolder): string => `folder/${folder}`;

function invalid(folder: PolicyFolder): readonly Finding[] {
  if (folder.hash !== null) return [];
  const shown = folder.problems.slice(0, MAX_PROBLEMS).join('; ');
  const message = `it is not a policy set, so a reload is refused and a restart denies every call: ${shown}`;
  return [
    { code: 'policy.invalid', where: whereOf(folder), message, fix: '`remit policy validate` lists all that is wrong' },
  ];
}

function noPermit(folder: PolicyFolder): readonly Finding[] {
  if (folder.hash === null || folder.permits > 0) return [];
  const message =
    folder.forbids === 0 ? 'it has no policy: every call is denied' : 'it has only `forbid`: every call is denied';
  return [
    {
      code: 'policy.no-permit',
      where: whereOf(folder),
      message,
      fix: '`remit policy new` writes a permit for one action',
    },
  ];
}

const lints = (folder: PolicyFolder): readonly Finding[] =>
  folder.lints === 0
    ? []
    : [
        {
          code: 'policy.lint',
          where: whereOf(folder),
          message: `${folder.lints} policies are probably mistakes`,
          fix: '`remit policy lint` lists them',
        },
      ];

/** The set in force is the set on disk. */
function differing({ host, live }: RemitFacts): readonly Finding[] {
  const folder = host?.policies ?? null;
  const inForce = live?.samples
    .get('remit_policy_info')
    ?.find(({ value }) => value === 1)
    ?.labels.get('hash');
  if (folder === null || folder.hash === null || inForce === undefined || inForce === folder.hash) return [];
  return [
    {
      code: 'policy.not-in-force',
      where: whereOf(folder),
      message: `the set in force is ${inForce}, the set on disk ${folder.hash}`,
      fix: 'wait for `policies.lookSeconds`, or reload with SIGHUP; see `policies-refused` in the log',
    },
  ];
}

const trial = ({ trialGroups }: LiveRemit): readonly Finding[] =>
  trialGroups === 0
    ? []
    : [
        {
          code: 'policy.trial-differs',
          where: 'trial',
          message: `policies on trial decide otherwise in ${trialGroups} ways`,
          fix: '`remit policy rollout` shows them',
        },
      ];

/** All connected sidecars enforce the same set. */
function skew({ fleet }: LiveRemit): readonly Finding[] {
  const sidecars = (fleet?.sidecars ?? []).filter(({ connected }) => connected);
  const sets = Map.groupBy(sidecars, ({ policy_set: set }) => set);
  if (sets.size < 2) return [];
  const [, ...others] = [...sets].toSorted(([, a], [, b]) => b.length - a.length);
  return others.flatMap(([set, own]) =>
    own.map(({ peer, instance }) => ({
      code: 'policy.skew' as const,
      where: `sidecar/${peer}/${instance}`,
      message: `it enforces ${set === '' ? 'no policies' : set}, as most others do not`,
      fix: 'publish the policies to every sidecar: deploy/guide/operate/publishing-policies.md',
    })),
  );
}
