import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { writtenClauses } from '../../../core/policy/loading/policy-end.ts';
import { conditionIn } from '../cases/mutation/condition.ts';
import type { Condition } from '../cases/mutation/condition.ts';
import { policyPartsOf } from '../explain/policy-parts.ts';

/** An operand of `||` in a policy. */
export interface Branch {
  /** As written, in one line. */
  readonly text: string;
  /** In the policy's text, in UTF-16 code units. */
  readonly start: number;
  readonly end: number;
}

/** Most branches of one policy that are looked at. */
const MAX_BRANCHES = 64;
const MAX_SHOWN = 120;

/** The operands of every `||` in the conditions of a policy, each before those within it. */
export function branchesOf(policy: PolicyEntry): readonly Branch[] {
  const { text } = policy;
  const parts = policyPartsOf(text);
  const clauses = parts === null ? [] : writtenClauses(policy, parts.clauses);
  return clauses
    .flatMap(({ body }) => operandsIn(conditionIn(body)))
    .slice(0, MAX_BRANCHES)
    .flatMap(({ tokens }) => {
      const [start, end] = [tokens[0]?.start, tokens.at(-1)?.end];
      if (start === undefined || end === undefined) return [];
      const written = text.slice(start, end).replaceAll(/\s+/g, ' ');
      const shown = written.length > MAX_SHOWN ? `${written.slice(0, MAX_SHOWN)}…` : written;
      return [{ text: shown, start, end }];
    });
}

/** A policy with `false` in place of some of its branches, none of which lies within another. */
export const withoutBranches = (policy: PolicyEntry, branches: readonly Branch[]): PolicyEntry => ({
  ...policy,
  text: branches
    .toSorted((one, other) => other.start - one.start)
    .reduce((text, { start, end }) => `${text.slice(0, start)}false${text.slice(end)}`, policy.text),
});

function operandsIn(condition: Condition): readonly Condition[] {
  switch (condition.kind) {
    case 'any':
      return condition.parts.flatMap((part) => [part, ...operandsIn(part)]);
    case 'all':
    case 'conditional':
      return condition.parts.flatMap(operandsIn);
    case 'not':
      return operandsIn(condition.of);
    case 'plain':
      return condition.within.flatMap(({ items }) => items.flatMap(operandsIn));
    default:
      return condition satisfies never;
  }
}
