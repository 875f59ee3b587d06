import { attributesFrom } from './attributes.ts';
import type { Attributes } from './attributes.ts';
import { staticSecretExceptions } from './static-secret-exception.ts';
import type { StaticSecretException } from './static-secret-exception.ts';
import { fieldsOf, itemsOf, stringOf, wordOf } from './yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from './yaml-file.ts';

/** How much harm an action can do; also the name of the action group it is in. */
export type Risk = 'low' | 'medium' | 'high';

/**
 * What a call can be authenticated with: a task token, a token of a configured external issuer, or the workload identity
 * alone.
 */
export type CredentialKind = 'task-token' | 'external-token' | 'workload-identity';

/** What an action takes from its server, and adds to or replaces. */
export interface Defaults {
  /** The credentials it can be called with; its own replace them. */
  readonly accepts: ReadonlySet<CredentialKind>;
  /** What it deals with, in the operator’s words, such as `customer-data`; its own are added. */
  readonly labels: ReadonlySet<string>;
  /** Long-lived credentials that may pass; its own are added. */
  readonly staticSecrets: readonly StaticSecretException[];
  /** What it is, as policies read it of `resource`; its own are added and replace those of the same name. */
  readonly attributes: Attributes;
}

/** What every action of the file says of itself. */
export interface ActionHead extends Defaults {
  readonly id: Placed<string>;
  readonly risk: Risk;
}

/** Keys that a server and each of its actions may have. */
export const DEFAULT_KEYS = ['accepts', 'labels', 'staticSecrets', 'attributes'] as const;
/** Keys that each action has. */
export const HEAD_KEYS = ['action', 'risk'] as const;

type Fields<Key extends string> = Pick<ReadonlyMap<Key, PlacedNode>, 'get' | 'has'>;

const RISKS = ['low', 'medium', 'high'] as const;
const CREDENTIAL_KINDS = ['task-token', 'external-token', 'workload-identity'] as const;
/** Ids that Remit's own actions and the risk groups have in the schema. */
const RESERVED_IDS = new Set<string>([...RISKS, 'issue']);
const ACTION_ID = /^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;
/** Characters of an action id at most. */
export const MAX_ID_LENGTH = 128;
const LABEL = /^[a-z][a-z0-9_-]{0,62}$/;
const MAX_LABELS = 16;

/** What actions are by default: a task token alone, no labels, no exceptions. */
export const NO_DEFAULTS: Defaults = {
  accepts: new Set(['task-token']),
  labels: new Set(),
  staticSecrets: [],
  attributes: new Map(),
};

/** Id and risk of an action, with what it takes from its server; `null` where one of the two is missing or wrong. */
export function actionHead(
  yaml: YamlFile,
  fields: Fields<(typeof HEAD_KEYS)[number] | (typeof DEFAULT_KEYS)[number]>,
  defaults: Defaults,
): ActionHead | null {
  const rule = 'words of letters, digits, `-` and `_` joined by dots, at most 128 characters, and none of Remit’s own';
  const id = stringOf(yaml, fields.get('action'), { what: 'the action', accepts: isActionId, rule });
  const risk = wordOf(yaml, fields.get('risk'), { what: 'the risk', words: RISKS });
  const own = defaultsFrom(yaml, fields, defaults);
  return id === null || risk === null ? null : { id, risk, ...own };
}

/** What is written at a server or an action, over what it inherits. */
export function defaultsFrom(
  yaml: YamlFile,
  fields: Fields<(typeof DEFAULT_KEYS)[number]>,
  inherited: Defaults,
): Defaults {
  return {
    accepts: acceptsOf(yaml, fields.get('accepts')) ?? inherited.accepts,
    labels: new Set([...inherited.labels, ...labelsOf(yaml, fields.get('labels'))]),
    staticSecrets: [...inherited.staticSecrets, ...staticSecretExceptions(yaml, fields.get('staticSecrets'))],
    attributes: new Map([...inherited.attributes, ...attributesFrom(yaml, fields.get('attributes'))]),
  };
}

/** Whether a text can be the id of an action: of the grammar, short enough, and none of Remit's own. */
export const isActionId = (value: string): boolean =>
  value.length <= MAX_ID_LENGTH && ACTION_ID.test(value) && !RESERVED_IDS.has(value);

/** The credentials of a list of words; `null` where there is no list. */
function acceptsOf(yaml: YamlFile, node: PlacedNode | undefined): ReadonlySet<CredentialKind> | null {
  if (node === undefined) return null;
  const items = itemsOf(yaml, node, '`accepts`');
  if (items.length === 0) yaml.report(node.offset, '`accepts` names at least one kind of credential');
  return new Set(
    items.flatMap((item) => wordOf(yaml, item, { what: 'the credential', words: CREDENTIAL_KINDS }) ?? []),
  );
}

function labelsOf(yaml: YamlFile, node: PlacedNode | undefined): readonly string[] {
  if (node === undefined) return [];
  const items = itemsOf(yaml, node, '`labels`');
  if (items.length > MAX_LABELS) yaml.report(node.offset, `there are at most ${MAX_LABELS} labels`);
  const rule = 'lower-case letters, digits, `-` and `_`, beginning with a letter, at most 63';
  return items.flatMap((item) => stringOf(yaml, item, { what: 'the label', accepts: isLabel, rule })?.value ?? []);
}

const isLabel = (value: string): boolean => LABEL.test(value);

/** The keys of an action with its arguments and nothing else: a tool, a method. */
export const actionFields = (yaml: YamlFile, node: PlacedNode, what: string) =>
  fieldsOf(yaml, node, { what, required: HEAD_KEYS, optional: [...DEFAULT_KEYS, 'args'] });
