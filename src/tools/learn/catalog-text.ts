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
  // Text that YAML would break into lines, or that a terminal obeys: JSON is YAML too.
  return /^[\x20-\x7e]*$/.test(text) ? text : JSON.stringify(value).replaceAll(/[^\x20-\x7e]/g, escapedUnit);
};

const escapedUnit = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** The lines of `actions.yaml`: each action with how often and when it was seen. */
export function catalogLines(servers: readonly LearntServer[]): readonly CatalogLine[] {
  const lines = servers.flatMap(serverLines);
  const isEmpty = lines.every(({ text }) => text.trimStart().startsWith('#'));
  return [plain(isEmpty ? 'servers: {}' : 'servers:'), ...lines];
}

const plain = (text: string): CatalogLine => ({ text, action: null, server: null });

const inForce = (actions: readonly LearntAction[]): boolean => actions.some(({ undecided }) => undecided === null);

function serverLines(server: LearntServer): readonly CatalogLine[] {
  const { id, host, path, actions } = server;
  const isOn = inForce(actions);
  const line = (depth: number, text: string, isUsed = isOn): CatalogLine => ({
    text: `${'  '.repeat(depth)}${isUsed ? '' : TO_DECIDE}${text}`,
    action: null,
    server: id,
  });
  const of = (...sections: readonly LearntAction['section'][]): readonly LearntAction[] =>
    actions.filter(({ section }) => sections.includes(section));
  const [routes, tools, grpc, methods, send] = [of('routes'), of('tools'), of('grpc'), of('methods'), of('send')];
  const families = of('resources', 'prompts');
  const mcp = [...tools, ...families, ...of('session')];
  const a2a = [...methods, ...send];
  return [
    line(1, `${id}:`),
    line(2, `hosts: ${flowYaml([host])}`),
    ...(path === null ? [] : [line(2, `paths: ${flowYaml([path])}`)]),
    line(2, `audience: ${flowYaml(serverAudience(server))}`),
    ...(routes.length === 0 ? [] : [line(2, 'routes:', inForce(routes))]),
    ...routes.map((action) => actionLine(3, action, '- ')),
    ...(mcp.length === 0
      ? []
      : [line(2, 'mcp:', inForce(mcp)), line(3, `path: ${flowYaml(server.mcpPath)}`, inForce(mcp))]),
    ...(tools.length === 0 ? [] : [line(3, 'tools:', inForce(tools))]),
    ...tools.map((action) => actionLine(4, action, `${flowYaml(action.name)}: `)),
    ...families.map((action) => actionLine(3, action, `${action.section}: `)),
    ...(a2a.length === 0
      ? []
      : [line(2, 'a2a:', inForce(a2a)), line(3, `path: ${flowYaml(server.a2aPath)}`, inForce(a2a))]),
    ...send.map((action) => actionLine(3, action, 'send: ')),
    ...(methods.length === 0 ? [] : [line(3, 'methods:', inForce(methods))]),
    ...methods.map((action) => actionLine(4, action, `${flowYaml(action.name)}: `)),
    ...(grpc.length === 0 ? [] : [line(2, 'grpc:', inForce(grpc))]),
    ...(grpc.length === 0 || server.descriptorSet === null
      ? []
      : [line(3, `descriptorSet: ${flowYaml(server.descriptorSet)}`, inForce(grpc))]),
    ...(grpc.length === 0 ? [] : [line(3, 'services:', inForce(grpc))]),
    ...[...Map.groupBy(grpc, serviceOf)].flatMap(([service, all]) => serviceLines(service, all, line)),
  ];
}

const serviceOf = ({ name }: LearntAction): string => name.slice(0, name.indexOf('/'));

const methodOf = ({ name }: LearntAction): string => name.slice(name.indexOf('/') + 1);

type Line = (depth: number, text: string, isUsed: boolean) => CatalogLine;

function serviceLines(service: string, all: readonly LearntAction[], line: Line): readonly CatalogLine[] {
  const head = [line(4, `${flowYaml(service)}:`, inForce(all)), line(5, 'methods:', inForce(all))];
  return head.concat(all.map((action) => actionLine(6, action, `${flowYaml(methodOf(action))}: `)));
}

function actionLine(
  depth: number,
  { id, risk, entry, calls, undecided, server, isDescribed }: LearntAction,
  key: string,
): CatalogLine {
  const { method, path, ...rest } = entry;
  const placed: Entry = method === undefined ? { action: id, risk } : { action: id, method, path, risk };
  const seen = `${sightingsText(calls.all)}, ${calls.agents.size} agent${calls.agents.size === 1 ? '' : 's'}`;
  const why = [seen, ...(isDescribed ? ['as described'] : []), ...(undecided === null ? [] : [undecided])].join('; ');
  const prefix = `${'  '.repeat(depth)}${undecided === null ? '' : TO_DECIDE}${key}`;
  return { text: `${prefix}${flowYaml({ ...placed, ...rest })} ${yamlComment(printable(why))}`, action: id, server };
}
