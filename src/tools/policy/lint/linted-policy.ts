import { cedarTokens } from '../../../core/policy/cedar-text.ts';
import type { CedarToken } from '../../../core/policy/cedar-text.ts';
import { writtenClauses } from '../../../core/policy/loading/policy-end.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import type { PolicyForms } from '../../../core/policy/loading/policy-json.ts';
import { conjuncts, expressionReads, recordExpression } from './expression.ts';
import type { Path } from './expression.ts';

/** A policy prepared for the rules. */
export interface LintedPolicy extends PolicyEntry {
  readonly principal: LintedScope;
  readonly action: LintedScope;
  readonly resource: LintedScope;
  /** `when` and `unless` as written, without the clause of `@until`; their bodies in Cedar's JSON form. */
  readonly clauses: readonly { readonly kind: 'when' | 'unless'; readonly body: unknown }[];
  /** The bodies of all of them. */
  readonly bodies: readonly unknown[];
  /** Its conditions, split at `&&`; equal texts mean the same. */
  readonly conditions: ReadonlySet<string>;
  /** The paths its conditions read. */
  readonly paths: readonly Path[];
  readonly tokens: readonly CedarToken[];
}

/** A part of a policy's scope: everything of the type that is among `entities` or below them (all if `null`). */
export interface LintedScope {
  /** Whether only the entities themselves are meant, not their descendants. */
  readonly isExact: boolean;
  readonly entities: readonly { readonly type: string; readonly id: string }[] | null;
  readonly type: string | null;
}

/** Prepares a policy that parses; `null` if Cedar has no JSON for it. */
export function lintedPolicy(policy: PolicyEntry, cedar: Pick<PolicyForms, 'policyToJson'>): LintedPolicy | null {
  const tokens = cedarTokens(policy.text);
  const answer = cedar.policyToJson(policy.text, tokens);
  if (answer.type === 'failure') return null;
  const { principal, action, resource } = answer.json;
  const conditions = writtenClauses(policy, answer.json.conditions);
  return {
    ...policy,
    principal: scopeOf(principal),
    action: scopeOf(action),
    resource: scopeOf(resource),
    clauses: conditions,
    bodies: conditions.map(({ body }) => body),
    conditions: new Set(
      conditions.flatMap(({ kind, body }) => (kind === 'when' ? conjuncts(body) : [`unless ${JSON.stringify(body)}`])),
    ),
    paths: conditions.flatMap(({ body }) => expressionReads(body)),
    tokens,
  };
}

function scopeOf(json: unknown): LintedScope {
  const { op, entity, entities, entity_type: type, in: within } = recordExpression(json);
  const one = entity ?? recordExpression(within)['entity'];
  const listed = Array.isArray(entities) ? entities : one === undefined ? null : [one];
  return {
    isExact: op === '==',
    entities: listed?.map(uidOf) ?? null,
    type: typeof type === 'string' ? type : null,
  };
}

const uidOf = (json: unknown): { readonly type: string; readonly id: string } => {
  const { __entity: explicit = json } = recordExpression(json);
  const { type, id } = recordExpression(explicit);
  return { type: String(type), id: String(id) };
};

/** The offset of a run of tokens in the policy; its start if there is none. */
export function policyOffset({ tokens }: Pick<LintedPolicy, 'tokens'>, run: readonly string[]): number {
  const at = tokens.findIndex((_token, start) => run.every((text, index) => tokens[start + index]?.text === text));
  return tokens[at]?.start ?? 0;
}
