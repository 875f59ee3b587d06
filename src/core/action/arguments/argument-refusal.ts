import { deny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import type { DenialFacts } from '../../decision/denial-facts.ts';
import type { Problem } from '../../runtime/problem.ts';
import { expectedOf, MAX_ARGUMENT_BYTES } from './argument.ts';
import type { Unfit } from './argument.ts';
import type { ArgumentSpec, CatalogAction } from '../catalog/catalog.ts';
import { cutText } from '../secrets/static-secret.ts';

/** Why the arguments of a call are refused, as a clause. `argument`: what the client learns, if the refusal is about a single argument. */
export interface ArgumentRefusal extends Problem {
  readonly argument?: NonNullable<DenialFacts['argument']>;
}

/** Denies a call to this action for its arguments. */
export const refusedArguments = ({ id }: Pick<CatalogAction, 'id'>, { problem, argument }: ArgumentRefusal): Deny =>
  deny(
    'action.arguments',
    `arguments of \`${id}\`: ${problem}`,
    argument === undefined ? {} : { clientFacts: { argument } },
  );

/** A required argument was not sent. */
export const missingArgument = (spec: ArgumentSpec): ArgumentRefusal => ({
  problem: `\`${spec.name}\` is missing`,
  argument: { name: spec.name, expected: expectedOf(spec) },
});

/** The value of an argument is not as declared. */
export const unfitArgument = (
  { name }: Pick<ArgumentSpec, 'name'>,
  { problem, expected }: Unfit,
): Required<ArgumentRefusal> => ({
  problem: `\`${name}\` ${problem}`,
  argument: { name, expected },
});

/** The strings of a call are too long together. */
export const TOO_LONG: ArgumentRefusal = {
  problem: `the strings are together longer than ${MAX_ARGUMENT_BYTES} bytes`,
};

const MAX_SHOWN = 100;

/**
 * The call has an argument that the catalog does not name, and the action takes no others. Its name is the caller's, shown by
 * `shownName`.
 */
export function otherArgument(name: string): Required<ArgumentRefusal> {
  const shown = shownName(name);
  return {
    problem: `the catalog does not name \`${shown}\`, and the action takes no other arguments`,
    argument: { name: shown, expected: 'left out: the action has no such argument' },
  };
}

/**
 * A name that the caller chose: at most 100 characters of it, all but printable ASCII escaped, and nothing of it if it holds a
 * credential.
 */
export const shownName = (name: string): string => cutText(name, MAX_SHOWN).replaceAll(/[^\x20-\x7e]|[`\\]/gu, escaped);

const escaped = (character: string): string => `\\u{${character.codePointAt(0)?.toString(16)}}`;
