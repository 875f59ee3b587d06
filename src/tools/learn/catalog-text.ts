import { stringify } from 'yaml';
import { printable } from '../../core/ledger/timeline-text.ts';
import type { Entry } from '../policy/import/entry.ts';
import { yamlComment } from '../policy/write/comment.ts';
import { serverAudience } from './learnt-action.ts';
import type { LearntAction, LearntServer } from './learnt-action.ts';
import { sightingsText } from './sightings.ts';

/** How a line that a person has to decide begins: without it, the line is in force. */
export const TO_DECIDE = '# decide: ';

/** A line of a catalog, and the action or the server that it is about. */
export interface CatalogLine {
  readonly text: string;
  readonly action: string | null;
  readonly server: string | null;
}

/** A value in one line of YAML. No text in it can end the line or begin another entry. */
export const flowYaml = (value: unknown): string => {
  const text = stringify(value, { collectionStyle: 'flow', lineWidth: 0, aliasDuplicateObjects: false }).trim();
  // Line breaks, control characters and other non-ASCII text are escaped in JSON, which is YAML too.
  return /^[\x20-\x7e]*$/.test(text) ? text : JSON.stringify(value).replaceAll(/[^\x20-\x7e]/g, escapedUnit);
};

const escapedUnit = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** A line, and the lines inside it, as a mapping in a mapping. */
export interface CatalogBlock {
  /** The key of a mapping; `null` for an item of a list. */
  readonly key: string | null;
  /** The line, without indentation. */
  readonly text: string;
  readonly action: string | null;
  readonly isInForce: boolean;
  readonly inside: readonly CatalogBlock[];
}

/** The lines of a new `actions.yaml`: each action with how often and when it was seen. */
export function catalogLines(servers: readonly LearntServer[]): readonly CatalogLine[] {
  const lines = servers.flatMap((server) => blockLines(serverBlock(server), { depth: 1, server: server.id }));
  const isEmpty = lines.every(({ text }) => text.trimStart().startsWith('#'));
  return [{ text: isEmpty ? 'servers: {}' : 'servers:', action: null, server: null }, ...lines];
}

/** A block as lines of a file, at a depth of two spaces each. */
export const blockLines = (
  { text, action, isInForce, inside }: CatalogBlock,
  { depth, server }: { readonly depth: number; readonly server: string },
): readonly CatalogLine[] => [
  { text: `${'  '.repeat(depth)}${isInForce ? '' : TO_DECIDE}${text}`, action, server },
  ...inside.flatMap((block) => blockLines(block, { depth: depth + 1, server })),
];

const inForce = (actions: readonly LearntAction[]): boolean => actions.some(({ undecided }) => undecided === null);

/** A mapping of actions: in force if one of them is. */
const mapping = (key: string, of: readonly LearntAction[], inside: readonly CatalogBlock[]): readonly CatalogBlock[] =>
  of.length === 0 ? [] : [{ key, text: `${flowYaml(key)}:`, action: null, isInForce: inForce(of), inside }];

const value = (key: string, of: unknown, isInForce: boolean): CatalogBlock => ({
  key,
  text: `${key}: ${flowYaml(of)}`,
  action: null,
  isInForce,
  inside: [],
});

/** Entries by the name of what is called. */
const named = (all: readonly LearntAction[]): readonly CatalogBlock[] =>
  all.map((action) => actionBlock(action, action.name));

/** The entry of a server, without what its actions do not need. */
export function serverBlock(server: LearntServer): CatalogBlock {
  const { id, host, path, actions } = server;
  const isInForce = inForce(actions);
  const of = (...sections: readonly LearntAction['section'][]): readonly LearntAction[] =>
    actions.filter(({ section }) => sections.includes(section));
  const [routes, tools, grpc, methods, send] = [of('routes'), of('tools'), of('grpc'), of('methods'), of('send')];
  const families = of('resources', 'prompts');
  const mcp = [...tools, ...families, ...of('session')];
  const a2a = [...methods, ...send];
  return {
    key: id,
    text: `${id}:`,
    action: null,
    isInForce,
    inside: [
      value('hosts', [host], isInForce),
      ...(path === null ? [] : [value('paths', [path], isInForce)]),
      value('audience', serverAudience(server), isInForce),
      ...mapping(
        'routes',
        routes,
        routes.map((action) => actionBlock(action, null)),
      ),
      ...mapping('mcp', mcp, [
        value('path', server.mcpPath, inForce(mcp)),
        ...mapping('tools', tools, named(tools)),
        ...families.map((action) => actionBlock(action, action.section)),
      ]),
      ...mapping('a2a', a2a, [
        value('path', server.a2aPath, inForce(a2a)),
        ...send.map((action) => actionBlock(action, 'send')),
        ...mapping('methods', methods, named(methods)),
      ]),
      ...mapping('grpc', grpc, [
        ...(server.descriptorSet === null ? [] : [value('descriptorSet', server.descriptorSet, inForce(grpc))]),
        ...mapping('services', grpc, servicesOf(grpc)),
      ]),
    ],
  };
}

const servicesOf = (grpc: readonly LearntAction[]): readonly CatalogBlock[] =>
  [...Map.groupBy(grpc, ({ name }) => name.slice(0, name.indexOf('/')))].flatMap(([service, all]) =>
    mapping(
      service,
      all,
      mapping(
        'methods',
        all,
        all.map((action) => actionBlock(action, action.name.slice(action.name.indexOf('/') + 1))),
      ),
    ),
  );

/** @param key `null` for an item of a list */
function actionBlock(
  { id, risk, entry, calls, undecided, isDescribed }: LearntAction,
  key: string | null,
): CatalogBlock {
  const { method, path, ...rest } = entry;
  const placed: Entry = method === undefined ? { action: id, risk } : { action: id, method, path, risk };
  const seen = `${sightingsText(calls.all)}, ${calls.agents.size} agent${calls.agents.size === 1 ? '' : 's'}`;
  const why = [seen, ...(isDescribed ? ['as described'] : []), ...(undecided === null ? [] : [undecided])].join('; ');
  const text = `${key === null ? '- ' : `${flowYaml(key)}: `}${flowYaml({ ...placed, ...rest })} ${yamlComment(printable(why))}`;
  return { key, text, action: id, isInForce: undecided === null, inside: [] };
}
