import type { Problem } from '../../../core/runtime/problem.ts';
import { freshCedar } from '../../../core/policy/cedar.ts';
import type { Cedar } from '../../../core/policy/cedar.ts';
import { cedarTokens } from '../../../core/policy/cedar-text.ts';
import type { EntityUid } from '../../../core/policy/entities.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';

/** An entity in Cedar's JSON format, not validated yet. */
export type EntityJson = Readonly<Record<string, unknown>>;

/** A question in Cedar's own terms, with its own entities. */
export interface RawQuestion {
  readonly principal: EntityUid;
  readonly action: EntityUid;
  readonly resource: EntityUid;
  readonly context: Readonly<Record<string, unknown>>;
  readonly entities: readonly EntityJson[];
}

/** Cedar's answer with sorted ids; a problem if it refuses the question. */
export type RawAnswer =
  | { readonly decision: 'allow' | 'deny'; readonly policyIds: readonly string[]; readonly erring: readonly string[] }
  | Problem;

const SET = 'raw';

/** The question with principal, action and resource written as in a policy: `Remit::Action::"payments.list"`. */
export function cedarQuestionOf(written: {
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly context: RawQuestion['context'];
  readonly entities: RawQuestion['entities'];
}): RawQuestion | Problem {
  const { principal, action, resource, ...rest } = written;
  const uids = { principal: uidFrom(principal), action: uidFrom(action), resource: uidFrom(resource) };
  if (uids.principal === null) return { problem: `has no principal of the form \`Type::"id"\`` };
  if (uids.action === null) return { problem: `has no action of the form \`Type::"id"\`` };
  if (uids.resource === null) return { problem: `has no resource of the form \`Type::"id"\`` };
  return { principal: uids.principal, action: uids.action, resource: uids.resource, ...rest };
}

function uidFrom(text: string): EntityUid | null {
  const tokens = cedarTokens(text).map((token) => token.text);
  const id = tokens.pop();
  if (tokens.pop() !== '::' || id === undefined || !/^".*"$/s.test(id)) return null;
  const isType = tokens.every((token, index) =>
    index % 2 === 0 ? /^[A-Za-z_][A-Za-z0-9_]*$/.test(token) : token === '::',
  );
  if (!isType || tokens.length % 2 === 0) return null;
  try {
    return { type: tokens.join(''), id: String(JSON.parse(id)) };
  } catch {
    return null;
  }
}

/**
 * Evaluates the enforced policies of a set with their schema, which also defines the actions of the catalog and their groups.
 * Uses its own instance, because input from a file may trap it; then the answer is a problem.
 */
export function rawAsker(
  {
    policies,
    facts,
    schema,
  }: Pick<PolicySet, 'facts' | 'schema'> & {
    readonly policies: readonly Pick<PolicyEntry, 'id' | 'text' | 'shadow'>[];
  },
  cedar: Pick<Cedar, 'preparsePolicySet' | 'preparseSchema' | 'statefulIsAuthorized'> = freshCedar(),
): (question: RawQuestion) => RawAnswer {
  const staticPolicies = Object.fromEntries(policies.flatMap(({ id, text, shadow }) => (shadow ? [] : [[id, text]])));
  cedar.preparsePolicySet(SET, { staticPolicies });
  cedar.preparseSchema(SET, schema);
  return (question) => {
    try {
      const answer = cedar.statefulIsAuthorized({
        ...question,
        // Safe: the types only lack `readonly`, and the engine refuses invalid values itself.
        context: question.context as Call['context'],
        entities: withAction(question, facts.actionGroups) as unknown as Call['entities'],
        preparsedPolicySetId: SET,
        preparsedSchemaName: SET,
        validateRequest: true,
      });
      if (answer.type === 'failure') return { problem: answer.errors[0]?.message ?? 'the engine refused the question' };
      const { decision, diagnostics } = answer.response;
      const erring = diagnostics.errors.map(({ policyId }) => policyId).sort();
      return { decision, policyIds: diagnostics.reason.toSorted(), erring };
    } catch (thrown) {
      return { problem: `the engine threw: ${String(thrown)}` };
    }
  };
}

type Call = Parameters<Cedar['statefulIsAuthorized']>[0];

/** The entities without actions of the catalog: the engine has these from the schema, and refuses any that differ. */
function withAction({ entities }: RawQuestion, groups: ReadonlyMap<string, readonly string[]>): readonly EntityJson[] {
  return entities.filter((entity) => {
    const { uid } = entity as { readonly uid?: { readonly type?: unknown; readonly id?: unknown } };
    return uid?.type !== `${NAMESPACE}::Action` || !groups.has(String(uid.id));
  });
}
