/** `remit policy rollout`: show what policies on trial would have decided differently. */
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { TrialReport } from '../../core/shadow/trial.ts';
import { adminObject, DEFAULT_ADMIN } from '../admin-answer.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { decisionExample, differenceLines } from './difference-lines.ts';
import { findingCounts } from './finding-lines.ts';
import { optionsFrom } from '../options.ts';

const help = `remit policy rollout: show what policies on trial would have decided differently, on live traffic

usage: remit policy rollout [--admin URL] [--json]

  --admin URL  the admin address of a running Remit; default \`${DEFAULT_ADMIN}\`
  --json       one object: live, candidate (hashes of the sets), shadow (ids), compared, skipped, ungrouped, and groups; each
               {source, change, action, agent, intent, reason, otherwise, formerIds, policyIds, count,
               examples: [{decisionId, atMs}]}

On trial are the set of \`policies.candidate\` and each policy with \`@shadow("true")\`. Neither is enforced. Counts restart when
either set changes. Prints one line for each kind of difference, the most frequent first, with ids of decisions as examples.

  remit policy rollout
  remit policy rollout --json | jq '.groups[] | select(.change == "deny-to-allow")'

exit codes: 0 no difference, 1 differences, 2 bad use or no answer`;

/** `remit policy rollout`. */
export const policyRollout: Command = { name: 'policy rollout', help, run: rollout };

/** What is read of an answer; hashes of sets may be `null`. */
const TRIAL = { shadow: 'array', compared: 'number', skipped: 'number', ungrouped: 'number', groups: 'array' } as const;

type Io = Pick<CommandIo, 'out' | 'err'>;

async function rollout(args: readonly string[], io: Io): Promise<number> {
  const options = optionsFrom(
    args,
    { admin: { type: 'string', default: DEFAULT_ADMIN }, json: { type: 'boolean', default: false } },
    0,
  );
  if (typeof options === 'string') return refused(io, 'remit policy rollout', options);
  const { admin, json } = options.values;
  const read = await adminObject<TrialReport>(admin, '/policies/trial', { members: TRIAL });
  if (isProblem(read)) return refused(io, 'remit policy rollout', read.problem);
  const report = read.answer;
  if (json) io.out(printableJson(report));
  else print(io, report);
  return report.groups.length === 0 ? EXIT.good : EXIT.no;
}

function print(io: Io, { candidate, live, shadow, compared, skipped, groups, ungrouped }: TrialReport): void {
  io.out(`in force: ${live ?? 'none'}`);
  io.out(`candidate: ${candidate ?? 'none'}`);
  io.out(`in shadow: ${shadow.length === 0 ? 'none' : shadow.join(', ')}`);
  for (const group of groups) for (const line of differenceLines(group, decisionExample)) io.out(printable(line));
  const more = ungrouped === 0 ? '' : ` and ${ungrouped} more differences of other kinds`;
  const missed = skipped === 0 ? '' : `, ${skipped} skipped`;
  io.out(
    `${findingCounts(compared, 'decision')} compared${missed}: ${findingCounts(groups.length, 'kind')} of difference${more}`,
  );
}
