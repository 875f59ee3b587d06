import { oneOf, textLike } from '../../runtime/fields.ts';
import { attributesFrom } from './attributes.ts';
import type { Attributes } from './attributes.ts';
import { staticSecretExceptions } from '../secrets/static-secret-exception.ts';
import type { StaticSecretException } from '../secrets/static-secret-exception.ts';
import { yamlFields, itemsOf, placedOf, valueOf } from './yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from './yaml-file.ts';

/** How much harm an action can do; also the name of its action group. */
export type Risk = 'low' | 'medium' | 'high';

/** How a call can be authenticated: a task token, a token of a configured external issuer, or the workload identity alone. */
export type CredentialKind = 'task-token' | 'external-token' | 'workload-identity';

/** What an action inherits from its server. */
export interface Defaults {
  /** Accepted credentials; those of the action replace them. */
  readonly accepts: ReadonlySet<CredentialKind>;
  /** Labels in the operator's words, such as `customer-data`; those of the action are added. */
  readonly labels: ReadonlySet<string>;
  /** Long-lived credentials that may pass; those of the action are added. */
  readonly staticSecrets: readonly StaticSecretException[];
  /** Attributes of `resource` for policies; those of the action are added and replace equal names. */
  readonly attributes: Attributes;
}

/** What every action entry declares. */
export interface ActionHead extends Defaults {
  readonly id: Placed<string>;
  readonly risk: Risk;
}

/** Keys that servers and actions share. */
export const DEFAULT_KEYS = ['accepts', 'labels', 'staticSecrets', 'attributes'] as const;
/** Keys of every action. */
export const HEAD_KEYS = ['action', 'risk'] as const;

type Fields<Key extends string> = Pick<ReadonlyMap<Key, PlacedNode>, 'get' | 'has'>;

const RISKS = ['low', 'medium', 'high'] as const;
const CREDENTIAL_KINDS = ['task-token', 'external-token', 'workload-identity'] as const;
/** Ids in the schema that belong to Remit's own actions and the risk groups. */
const RESERVED_IDS = new Set<string>([...RISKS, 'issue']);
const ACTION_ID = /^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;
/** Longest action id, in characters. */
export const MAX_ID_LENGTH = 128;
const LABEL = /^[a-z][a-z0-9_-]{0,62}$/;
const MAX_LABELS = 16;

/** The defaults without a server: task tokens only, no labels, no exceptions. */
export const NO_DEFAULTS: Defaults = {
  accepts: new Set(['task-token']),
  labels: new Set(),
  staticSecrets: [],
  attributes: new Map(),
};

/** Id, risk and inherited settings of an action; `null` if id or risk is missing or invalid. */
export function actionHead(
  yaml: YamlFile,
  fields: Fields<(typeof HEAD_KEYS)[number] | (typeof DEFAULT_KEYS)[number]>,
  defaults: Defaults,
): ActionHead | null {
  const id = placedOf(yaml, fields.get('action'), { what: 'the action', reader: actionId });
  const risk = valueOf(yaml, fields.get('risk'), { what: 'the risk', reader: oneOf(RISKS) });
  const own = defaultsFrom(yaml, fields, defaults);
  return id === null || risk === null ? null : { id, risk, ...own };
}

/** The settings of a server or an action, merged with what it inherits. */
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

/** Whether a text can be an action id: matches the grammar, is short enough and not reserved. */
export const isActionId = (value: string): boolean =>
  value.length <= MAX_ID_LENGTH && ACTION_ID.test(value) && !RESERVED_IDS.has(value);

const actionId = textLike(
  "words of letters, digits, `-` and `_` joined by dots, at most 128 characters, and not one of Remit's own",
  isActionId,
);

/** The credentials in a list; `null` if there is no list. */
function acceptsOf(yaml: YamlFile, node: PlacedNode | undefined): ReadonlySet<CredentialKind> | null {
  if (node === undefined) return null;
  const items = itemsOf(yaml, node, '`accepts`');
  if (items.length === 0) yaml.report(node.offset, '`accepts` names at least one kind of credential');
  return new Set(
    items.flatMap((item) => valueOf(yaml, item, { what: 'the credential', reader: oneOf(CREDENTIAL_KINDS) }) ?? []),
  );
}

function labelsOf(yaml: YamlFile, node: PlacedNode | undefined): readonly string[] {
  if (node === undefined) return [];
  const items = itemsOf(yaml, node, '`labels`');
  if (items.length > MAX_LABELS) yaml.report(node.offset, `there are at most ${MAX_LABELS} labels`);
  return items.flatMap((item) => valueOf(yaml, item, { what: 'the label', reader: label }) ?? []);
}

const label = textLike('lower-case letters, digits, `-` and `_`, beginning with a letter, at most 63', (value) =>
  LABEL.test(value),
);

/** The keys of an action that has arguments and nothing else: a tool, a method. @param more keys of its kind */
export const actionFields = <More extends string = never>(
  yaml: YamlFile,
  node: PlacedNode,
  what: string,
  more: readonly More[] = [],
) =>
  yamlFields<(typeof HEAD_KEYS)[number] | (typeof DEFAULT_KEYS)[number] | 'args' | 'otherArguments' | More>(
    yaml,
    node,
    {
      what,
      required: HEAD_KEYS,
      optional: [...DEFAULT_KEYS, 'args', 'otherArguments', ...more],
    },
  );

/** The value of `otherArguments`; `null` if it is absent or invalid. */
export const otherArgumentsIn = (yaml: YamlFile, node: PlacedNode | undefined): 'ignore' | 'deny' | null =>
  valueOf(yaml, node, { what: '`otherArguments`', reader: oneOf(['ignore', 'deny']) });

/** Whether an action takes arguments that the catalog does not name. Default true. */
export const takesOthersIn = (yaml: YamlFile, node: PlacedNode | undefined): boolean =>
  otherArgumentsIn(yaml, node) !== 'deny';
