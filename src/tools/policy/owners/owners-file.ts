/** Reads `owners.yaml` of a policy folder. */
import { join } from 'node:path';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import { itemsOf, openYaml, placedOf, yamlFields } from '../../../core/action/catalog/yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from '../../../core/action/catalog/yaml-file.ts';
import {
  agentPattern,
  entryId,
  isEmptyNode,
  nameListOf,
  reportMissing,
  reportRepeated,
} from '../../../core/policy/loading/named-entries.ts';
import { systemDisk } from '../../../core/policy/loading/source.ts';
import { textLike } from '../../../core/runtime/fields.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';

/** The file in a policy folder. No decision depends on it, so it is no part of the set. */
export const OWNERS = 'owners.yaml';

/** A team with its paths, and what its policies may speak of. */
export interface Owner {
  readonly team: string;
  /** Who approves changes, in the words of the code host: `@acme/payments`. */
  readonly reviewers: readonly string[];
  /** Files, and folders with a final `/`, relative to the policy folder. */
  readonly paths: readonly string[];
  readonly servers: readonly string[];
  /** Ids, families (`payments.*`), `issue`, or `*`. */
  readonly actions: readonly string[];
  /** Patterns of SPIFFE IDs, or `*`. */
  readonly agents: readonly string[];
  readonly groups: readonly string[];
}

/** What the file says, and what is wrong with it. */
export interface ReadOwners {
  readonly owners: readonly Owner[];
  readonly findings: readonly SourceFinding[];
}

const MAX_OWNERS = 1_000;
const MAX_FILE_BYTES = 1024 * 1024;
const KEYS = ['team', 'reviewers', 'paths', 'servers', 'actions', 'agents', 'groups'] as const;
const LISTS = ['reviewers', 'paths', 'servers', 'actions', 'agents', 'groups'] as const;

const REQUIRED: Readonly<Partial<Record<(typeof KEYS)[number], string>>> = {
  team: 'a word that is this team in lists and findings, such as `team: payments`',
  reviewers: "who approves its changes, such as `reviewers: ['@acme/payments']`",
  paths: "its files and folders, such as `paths: ['policies/payments/']`",
  servers: "the servers that its policies may speak of, such as `servers: [payments]`; `['*']` is every server",
  actions:
    "the actions that its policies may speak of, such as `actions: [payments.*, issue]`; `['*']` is every action",
};

const READERS: Readonly<Record<(typeof LISTS)[number], Parameters<typeof nameListOf>[2]>> = {
  reviewers: {
    what: '`reviewers`',
    noun: 'a reviewer',
    reader: textLike('`@name`, `@org/team` or an address', (value) => /^[^\s#]{1,128}$/.test(value)),
  },
  paths: {
    what: '`paths`',
    noun: 'a path',
    reader: textLike('relative to the policy folder, without `..`, blanks and wildcards', isPath),
  },
  servers: { what: '`servers`', noun: 'a server', reader: textLike('the id of a server, or `*`', isWord) },
  actions: { what: '`actions`', noun: 'an action', reader: textLike('an action, `family.*` or `*`', isWord) },
  agents: { what: '`agents`', noun: 'an agent', reader: agentPattern },
  groups: { what: '`groups`', noun: 'a group', reader: textLike('the id of an `AgentGroup`', isWord) },
};

function isWord(value: string): boolean {
  return /^[^\s]{1,256}$/.test(value);
}

function isPath(value: string): boolean {
  return /^[A-Za-z0-9._/-]{1,256}$/.test(value) && !value.startsWith('/') && !value.split('/').includes('..');
}

/** The owners of a policy folder; `null` if it has no `owners.yaml`. */
export async function ownersIn(folder: string): Promise<ReadOwners | null> {
  const file = join(folder, OWNERS);
  const failed = (message: string): ReadOwners => ({
    owners: [],
    findings: [{ file, line: 1, column: 1, message, help: null }],
  });
  try {
    if (!(await systemDisk.list(folder)).includes(OWNERS)) return null;
    const bytes = await systemDisk.read(file, MAX_FILE_BYTES);
    if (bytes === null) return failed(`the file must be a regular file of at most ${MAX_FILE_BYTES} bytes`);
    return ownersFrom(new TextDecoder('utf-8', { fatal: true }).decode(bytes), file);
  } catch (error) {
    return failed(`the file could not be read: ${errorCode(error) ?? 'it must be UTF-8'}`);
  }
}

/** Parses the file. At most 1,000 teams, each with lists of at most 64 names. */
export function ownersFrom(text: string, file: string): ReadOwners {
  const yaml = openYaml(text, file);
  if (yaml.root.value === null) return { owners: [], findings: yaml.findings };
  const list = yamlFields(yaml, yaml.root, { what: 'the file', required: ['owners'], optional: [] }).get('owners');
  const items = list === undefined || isEmptyNode(list) ? [] : itemsOf(yaml, list, '`owners`');
  if (items.length > MAX_OWNERS) yaml.report(yaml.root.offset, `\`owners\` has more than ${MAX_OWNERS} entries`);
  const read = items.slice(0, MAX_OWNERS).flatMap((item) => ownerFrom(yaml, item) ?? []);
  reportRepeated(
    yaml,
    read.map(({ team }) => team),
  );
  const paths = new Map<string, string>();
  for (const { team, owner } of read)
    for (const path of owner.paths) {
      const other = paths.get(path);
      if (other !== undefined)
        yaml.report(team.offset, `the path \`${path}\` is of \`${other}\` too`, 'a path has one team');
      paths.set(path, team.value);
    }
  return { owners: read.map(({ owner }) => owner), findings: yaml.findings };
}

function ownerFrom(yaml: YamlFile, node: PlacedNode): { readonly owner: Owner; readonly team: Placed<string> } | null {
  const what = 'an owner';
  const fields = yamlFields(yaml, node, { what, required: [], optional: KEYS });
  reportMissing(yaml, node, { what, fields, help: REQUIRED });
  if (!fields.has('agents') && !fields.has('groups'))
    yaml.report(
      node.offset,
      'an owner lacks `agents` or `groups`',
      "whose rights it gives; `agents: ['*']` is everybody's",
    );
  const team = placedOf(yaml, fields.get('team'), { what: '`team`', reader: entryId });
  const lists = LISTS.map((key) => {
    const list = fields.get(key);
    return [key, list === undefined ? [] : nameListOf(yaml, list, READERS[key]).map(({ value }) => value)] as const;
  });
  if (team === null) return null;
  // Safe: `LISTS` has every list of an owner.
  return { owner: { team: team.value, ...Object.fromEntries(lists) } as unknown as Owner, team };
}
