import type { ArgumentSpec, CatalogAction } from '../../../core/action/catalog/catalog.ts';
import { cedarString } from '../../../core/policy/cedar-text.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { cedarComment } from './comment.ts';

/** The principal of a new policy: one agent, or the agents of a group. */
export type Grantee = { readonly agent: string } | { readonly group: string };

/**
 * A permit for one catalog action, with a condition on each argument by its type. The conditions are as narrow as possible
 * (`""`, `0`, `false`), so that the policy permits almost nothing until it is edited; it is valid as it is.
 */
export function newPolicy(
  action: CatalogAction,
  { id, grantee }: { readonly id: string; readonly grantee: Grantee },
): string {
  const conditions = [
    // Riskier actions require a stated purpose.
    ...(action.risk === 'low' ? [] : ['context.intent.purpose != ""']),
    ...action.args.map(argumentCondition),
  ];
  const when =
    conditions.length === 0
      ? ''
      : `\nwhen\n{\n${conditions.map((text, at) => clause(text, at, conditions)).join('\n')}\n}`;
  return [
    cedarComment(
      `${action.server.id}: ${action.endpoint}, risk ${action.risk}. Each condition is as narrow as its type allows: widen it.`,
    ),
    `@id(${cedarString(id)})`,
    `@description("who may do this, and why")`,
    'permit (',
    `  ${principal(grantee)},`,
    `  action == ${NAMESPACE}::Action::${cedarString(action.id)},`,
    `  resource in ${NAMESPACE}::Server::${cedarString(action.server.id)}`,
    `)${when};`,
  ].join('\n');
}

const principal = (grantee: Grantee): string =>
  'agent' in grantee
    ? `principal == ${NAMESPACE}::Agent::${cedarString(grantee.agent)}`
    : `principal in ${NAMESPACE}::AgentGroup::${cedarString(grantee.group)}`;

const clause = (text: string, at: number, all: readonly string[]): string =>
  `  ${text}${at === all.length - 1 ? '' : ' &&'}`;

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;
const RESERVED = new Set(['true', 'false', 'if', 'then', 'else', 'in', 'is', 'like', 'has', '__cedar']);

function argumentCondition({ name, type, required }: ArgumentSpec): string {
  const isName = IDENTIFIER.test(name) && !RESERVED.has(name);
  const condition = tests[type](isName ? `context.args.${name}` : `context.args[${cedarString(name)}]`);
  // Cedar's type checker understands `if … has … then`, but not `!(… has …) || …`.
  return required
    ? condition
    : `(if context.args has ${isName ? name : cedarString(name)} then ${condition} else true)`;
}

/** The narrowest test of each type. */
const tests: Readonly<Record<ArgumentSpec['type'], (value: string) => string>> = {
  string: (value) => `${value} == ""`,
  long: (value) => `${value} <= 0`,
  bool: (value) => `${value} == false`,
  decimal: (value) => `${value}.lessThanOrEqual(decimal("0.0"))`,
  strings: (value) => `[""].containsAll(${value})`,
};
