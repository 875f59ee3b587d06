/** `remit policy new`: write a permit for one action, from the types of its arguments. */
import { freshCedar } from '../../core/policy/cedar.ts';
import { entitiesFrom } from '../../core/policy/entities.ts';
import { formatted } from '../../tools/policy/write/format.ts';
import { policySetFrom } from '../../core/policy/loading/load.ts';
import { newPolicy } from '../../tools/policy/write/new-policy.ts';
import type { Grantee } from '../../tools/policy/write/new-policy.ts';
import { NAMESPACE } from '../../core/policy/namespace.ts';
import { catalogOf } from '../../core/policy/loading/source-catalog.ts';
import { readPolicySource } from '../../core/policy/loading/source.ts';
import type { PolicySource, SourceFile } from '../../core/policy/loading/source.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { textWithLines } from './excerpt.ts';
import { findingCounts, findingLines } from './finding-lines.ts';
import { optionsFrom } from '../options.ts';

const help = `remit policy new: write a permit for one action, from the types of its arguments

usage: remit policy new ACTION [FOLDER] (--agent ID | --group NAME) [--id ID] [--json]

  ACTION        an action of the catalog, such as \`payments.create\`
  FOLDER        the policy folder it is for; default \`cedar-policies\`
  --agent ID    the SPIFFE ID of the agent that the policy permits
  --group NAME  a group of the entities whose agents the policy permits
  --id ID       the id of the policy; default the action with \`-\` for \`.\`, and \`-new\` if that is taken
  --json        one object: id, action, risk, args, policy

Prints a policy with a condition for each argument, as narrow as its type allows: edit it, then add it to a file of the folder.
The printed policy was validated together with the folder.

  remit policy new payments.create --group payers >> cedar-policies/policies/payments.cedar

exit codes: 0 printed, 1 the folder has findings, 2 bad use, an unknown action or group, an unreadable folder`;

/** `remit policy new`. */
export const policyNew: Command = { name: 'policy new', help, run: printPolicy };

type Io = Pick<CommandIo, 'out' | 'err'>;

async function printPolicy(args: readonly string[], io: Io): Promise<number> {
  const one = { type: 'string' } as const;
  const options = optionsFrom(args, { agent: one, group: one, id: one, json: { type: 'boolean', default: false } }, 2);
  if (typeof options === 'string') return refused(io, 'remit policy new', options);
  const [name, folder = 'cedar-policies'] = options.operands;
  if (name === undefined) return refused(io, 'remit policy new', 'expected an ACTION');
  const source = await readPolicySource(folder);
  if ('unreadable' in source)
    return refused(io, 'remit policy new', `the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
  if ('findings' in source) return found(io, source.findings);
  const catalog = await catalogOf(source);
  if ('findings' in catalog) return found(io, catalog.findings);
  const action = catalog.actions.get(name);
  if (action === undefined) return refused(io, 'remit policy new', `the catalog has no action \`${name}\``);
  const grantee = granteeFrom(options.values, groupsOf(source));
  if (typeof grantee === 'string') return refused(io, 'remit policy new', grantee);
  const id = options.values.id ?? freeId(name, source);
  const text = pretty(newPolicy(action, { id, grantee }));
  const result = await policySetFrom({ ...source, policies: [...source.policies, text] });
  if ('findings' in result) return found(io, result.findings, text);
  const { risk, args: specs } = action;
  const types = specs.map(({ name: arg, type, required }) => ({ name: arg, type, required }));
  io.out(
    options.values.json
      ? JSON.stringify({ id, action: name, risk, args: types, policy: text.text })
      : `\n${text.text.trimEnd()}`,
  );
  return EXIT.good;
}

function pretty(text: string): SourceFile {
  const file = { name: 'new.cedar', file: 'the new policy', text };
  const result = formatted(file, freshCedar());
  return 'findings' in result ? file : { ...file, text: result.text };
}

function granteeFrom(
  { agent, group }: { readonly agent?: string | undefined; readonly group?: string | undefined },
  groups: readonly string[],
): Grantee | string {
  const known = groups.length === 0 ? 'the entities have none' : `known: ${groups.join(', ')}`;
  if ((agent === undefined) === (group === undefined)) return `expected one of \`--agent\` and \`--group\` (${known})`;
  if (agent !== undefined) return { agent };
  return group !== undefined && groups.includes(group) ? { group } : `no group \`${group}\`; ${known}`;
}

const groupsOf = (source: PolicySource): readonly string[] =>
  source.entities
    .flatMap((file) => entitiesFrom(file).entities)
    .flatMap(({ entity: { uid } }) => (uid.type === `${NAMESPACE}::AgentGroup` ? [uid.id] : []))
    .sort();

function freeId(action: string, source: PolicySource): string {
  const id = action.replaceAll('.', '-');
  const isTaken = source.policies.some(({ text }) => text.includes(`@id("${id}")`));
  return isTaken ? `${id}-new` : id;
}

function found(io: Io, findings: readonly Parameters<typeof findingLines>[0][], text?: SourceFile): number {
  const files = new Map(text === undefined ? [] : [[text.file, textWithLines(text.text)]]);
  for (const finding of findings) for (const line of findingLines(finding, { files })) io.err(line);
  io.err(findingCounts(findings.length, 'finding'));
  return EXIT.no;
}
