/** Reads `limits.yaml` of a policy folder. */
import type { Catalog } from '../../action/catalog/catalog.ts';
import type { SourceFinding } from '../../action/catalog/finding.ts';
import { nearestId } from '../../action/catalog/nearest.ts';
import { itemsOf, openYaml, placedOf, valueOf, yamlFields } from '../../action/catalog/yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from '../../action/catalog/yaml-file.ts';
import { coversSpiffeId } from '../../identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import { MAX_LIMITS } from '../../limit/limit.ts';
import type { Limit, LimitEffect, LimitKey } from '../../limit/limit.ts';
import { oneOf, textOf } from '../../runtime/fields.ts';
import { limitMeasures, MEASURES } from './limit-measures.ts';
import type { MeasureKey } from './limit-measures.ts';
import { agentPattern, entryId, isEmptyNode, nameListOf, reportMissing, reportRepeated } from './named-entries.ts';
import type { SourceFile } from './source.ts';

/** What the file says: its limits in the order of the file, what is wrong, and what is probably a mistake. */
interface ReadLimits {
  readonly limits: readonly Limit[];
  readonly findings: readonly SourceFinding[];
  readonly warnings: readonly SourceFinding[];
}

const OWN_KEYS = ['id', 'agents', 'actions', 'per', 'window', 'then'] as const;
type Key = (typeof OWN_KEYS)[number] | MeasureKey;
type Fields = ReadonlyMap<Key, PlacedNode>;

const OF_CALLS: readonly MeasureKey[] = ['calls', 'amount', 'distinct'];
const OF_TASKS: readonly MeasureKey[] = ['tasks', 'openTasks'];
const hasAny = (fields: Fields, keys: readonly MeasureKey[]): boolean => keys.some((key) => fields.has(key));

const WINDOWS: Readonly<Record<'1m' | '1h' | '1d', number>> = { '1m': 60_000, '1h': 3_600_000, '1d': 86_400_000 };

/** The help for each key that an entry must have. */
const REQUIRED: Readonly<Record<'id' | 'agents' | 'per', string>> = {
  id: 'a word that is this limit in records, metrics and counters, such as `id: payments-a-day`',
  agents: "whose uses are counted, such as `agents: ['spiffe://acme.test/ns/agents/*']`; `['*']` is every agent",
  per: '`per: [agent]` counts each agent by itself; `user` and `server` likewise; `per: []` is one counter for all',
};

/**
 * Parses the file. A missing or empty file limits nothing. At most 200 limits, of 64 patterns of agents and 64 actions each.
 *
 * @param catalog `null` if it could not be read: then actions and their arguments are not checked
 */
export function limitsFrom(
  source: Pick<SourceFile, 'file' | 'text'> | undefined,
  catalog: Pick<Catalog, 'actions'> | null,
): ReadLimits {
  if (source === undefined) return { limits: [], findings: [], warnings: [] };
  const yaml = openYaml(source.text, source.file);
  if (yaml.root.value === null) return { limits: [], findings: yaml.findings, warnings: [] };
  const list = yamlFields(yaml, yaml.root, { what: 'the file', required: [], optional: ['limits'] }).get('limits');
  const items = list === undefined || isEmptyNode(list) ? [] : itemsOf(yaml, list, '`limits`');
  if (items.length > MAX_LIMITS)
    yaml.report(yaml.root.offset, `\`limits\` has ${items.length} entries`, `at most ${MAX_LIMITS}: join limits`);
  const entries = items.slice(0, MAX_LIMITS).flatMap((item) => entryFrom(yaml, item, catalog) ?? []);
  reportRepeated(
    yaml,
    entries.map(({ id }) => id),
  );
  return {
    limits: entries.map(({ limit }) => limit),
    findings: yaml.findings,
    warnings: [...entries.flatMap(({ warnings }) => warnings), ...crowdOf(yaml, entries)],
  };
}

interface PlacedLimit {
  readonly limit: Limit;
  readonly id: Placed<string>;
  readonly warnings: readonly SourceFinding[];
}

function entryFrom(yaml: YamlFile, node: PlacedNode, catalog: Pick<Catalog, 'actions'> | null): PlacedLimit | null {
  const what = 'a limit';
  const fields: Fields = yamlFields(yaml, node, { what, required: [], optional: [...OWN_KEYS, ...MEASURES] });
  reportMissing(yaml, node, { what, fields, help: REQUIRED });
  const id = placedOf(yaml, fields.get('id'), { what: '`id`', reader: entryId });
  const agents = listOf(yaml, fields.get('agents'), { what: '`agents`', noun: 'the agent', reader: agentPattern });
  const actions = actionsOf(yaml, fields.get('actions'), catalog);
  const per = perOf(yaml, fields);
  const warnings: SourceFinding[] = [];
  const measures = limitMeasures(yaml, node, { fields, actions, catalog, warn: (finding) => warnings.push(finding) });
  const windowMs = windowOf(yaml, node, fields);
  const effect = effectOf(yaml, fields);
  reportUnread(yaml, fields);
  if (id === null || agents === null || per === null || effect === null || measures.length === 0) return null;
  const { file, line, column } = yaml.findingAt(node.offset, what);
  const limit: Limit = {
    id: id.value,
    agents: agents.map(({ value }) => value),
    actions: actions?.map(({ value }) => value) ?? null,
    per: per.map(({ value }) => value),
    windowMs,
    measures,
    effect,
    place: { file, line, column },
  };
  return { limit, id, warnings: [...warnings, ...warningsOf(yaml, fields, limit)] };
}

const listOf = (
  yaml: YamlFile,
  node: PlacedNode | undefined,
  names: Parameters<typeof nameListOf>[2],
): readonly Placed<string>[] | null => (node === undefined ? null : nameListOf(yaml, node, names));

const actionName = textOf<string>('the id of an action', (value) => value);

/** The actions of a limit; `null` if it names none, for every action. */
function actionsOf(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  catalog: Pick<Catalog, 'actions'> | null,
): readonly Placed<string>[] | null {
  const actions = listOf(yaml, node, { what: '`actions`', noun: 'the action', reader: actionName });
  for (const { value, offset } of catalog === null ? [] : (actions ?? [])) {
    const action = catalog?.actions.get(value);
    if (action?.isSession === true) {
      const help = 'name the actions of its tools: opening a session is never counted';
      yaml.report(offset, `the action \`${value}\` only opens sessions`, help);
    }
    if (action !== undefined) continue;
    const near = catalog === null ? null : nearestId(value, catalog.actions.keys());
    const help = near === null ? 'actions are named by their ids in `actions.yaml`' : `did you mean \`${near}\`?`;
    yaml.report(offset, `unknown action \`${value.slice(0, 100)}\``, help);
  }
  return actions;
}

const limitKey = oneOf<LimitKey>(['agent', 'user', 'server']);

function perOf(yaml: YamlFile, fields: Fields): readonly Placed<LimitKey>[] | null {
  const node = fields.get('per');
  if (node === undefined) return null;
  const items = itemsOf(yaml, node, '`per`');
  const keys = items.flatMap((item) => placedOf(yaml, item, { what: 'a key of `per`', reader: limitKey }) ?? []);
  for (const [at, { value, offset }] of keys.entries())
    if (keys.slice(0, at).some((before) => before.value === value))
      yaml.report(offset, `\`per\` has \`${value}\` twice`, 'write each once');
  const server = keys.find(({ value }) => value === 'server');
  const ofTasks = fields.has('tasks') ? '`tasks`' : fields.has('openTasks') ? '`openTasks`' : null;
  if (server !== undefined && ofTasks !== null)
    yaml.report(server.offset, `${ofTasks} cannot be counted per \`server\``, 'count tasks per `agent` or `user`');
  if (fields.has('openTasks') && keys.every(({ value }) => value === 'server'))
    yaml.report(node.offset, '`openTasks` needs `agent` or `user` in `per`', 'write `per: [agent]`');
  return keys;
}

const window = oneOf(['1m', '1h', '1d']);

function windowOf(yaml: YamlFile, node: PlacedNode, fields: Fields): number | null {
  const written = fields.get('window');
  const isCounted = hasAny(fields, [...OF_CALLS, 'tasks']);
  if (written === undefined) {
    if (isCounted) yaml.report(node.offset, 'a limit lacks the key `window`', 'write `window: 1d`, `1h` or `1m`');
    return null;
  }
  if (!isCounted && fields.has('openTasks')) {
    const help = 'leave it out, or limit `tasks`, which are counted in a window';
    yaml.report(written.offset, '`openTasks` has no window: it counts what is open now', help);
  }
  const length = valueOf(yaml, written, { what: '`window`', reader: window });
  return length === null ? null : WINDOWS[length];
}

const effectWord = oneOf<LimitEffect>(['deny', 'suspend', 'stop']);

function effectOf(yaml: YamlFile, fields: Fields): LimitEffect | null {
  const then = fields.get('then');
  if (then === undefined) return 'deny';
  const value = valueOf(yaml, then, { what: '`then`', reader: effectWord });
  if (value === 'suspend' && !hasAny(fields, OF_CALLS) && hasAny(fields, OF_TASKS)) {
    const help = 'write `then: deny`, or `then: stop` to stop the agent';
    yaml.report(then.offset, '`then: suspend` has no task to suspend: this limit refuses to declare one', help);
  }
  return value;
}

/** Reports `actions` of a limit that counts only tasks: nothing would read them. */
function reportUnread(yaml: YamlFile, fields: Fields): void {
  const actions = fields.get('actions');
  if (actions !== undefined && hasAny(fields, OF_TASKS) && !hasAny(fields, OF_CALLS))
    yaml.report(actions.offset, 'tasks are counted whatever their actions', 'leave `actions` out');
}

/** Most counters of limits that a call can take from: a use has at most 64 spends, with the budgets of its task. */
const MAX_COUNTERS = 60;
/** Most patterns of agents whose calls are checked. */
const MAX_JUDGED = 64;

/** A warning at the first limit that is one too many for a call: a sidecar refuses such a call. */
function crowdOf(yaml: YamlFile, entries: readonly PlacedLimit[]): readonly SourceFinding[] {
  const agents = [...new Set(entries.flatMap(({ limit }) => limit.agents))].slice(0, MAX_JUDGED);
  for (const agent of agents) {
    let [ofEveryAction, most] = [0, 0];
    const ofActions = new Map<string, number>();
    for (const { id, limit } of entries) {
      // The text of a pattern matches each wider pattern.
      const isOfAgent = limit.agents.some((one) => one === '*' || coversSpiffeId(one, agent as SpiffeId));
      if (!isOfAgent) continue;
      const counters = OF_CALLS.filter((key) => limit.measures.some(({ of }) => of === key)).length;
      if (limit.actions === null) ofEveryAction += counters;
      for (const action of limit.actions ?? []) {
        const ofAction = (ofActions.get(action) ?? 0) + counters;
        ofActions.set(action, ofAction);
        most = Math.max(most, ofAction);
      }
      if (ofEveryAction + most <= MAX_COUNTERS) continue;
      const message = `with the limit \`${id.value}\` a call of \`${agent}\` takes from more than ${MAX_COUNTERS} counters`;
      return [yaml.findingAt(id.offset, message, 'at a sidecar such calls are refused: join limits')];
    }
  }
  return [];
}

/** Warns of a limit that stops one agent for what several used. */
function warningsOf(yaml: YamlFile, fields: Fields, { id, per, effect }: Limit): readonly SourceFinding[] {
  const written = fields.get('then');
  if (effect !== 'stop' || per.includes('agent') || written === undefined) return [];
  const message = `the limit \`${id}\` stops an agent for what others used too`;
  return [yaml.findingAt(written.offset, message, 'add `agent` to `per`, or write `then: deny`')];
}
