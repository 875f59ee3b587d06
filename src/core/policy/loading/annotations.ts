import { cedarInstantFrom } from '../answers/literals.ts';

/** The annotations of a policy. */
export interface Annotations {
  /** `@id`; `''` if missing. */
  readonly id: string;
  /** `@reason`: shown to the caller when this policy forbids. */
  readonly reason: string | null;
  /** `@shadow("true")`: evaluated and reported, never enforced. */
  readonly shadow: boolean;
  /** `@always("true")` of a forbid: it denies also calls that are only observed. Absent otherwise. */
  readonly always?: true;
  /** `@until` of a permit: from this instant on it counts as absent; milliseconds since the Unix epoch. Absent without an end. */
  readonly untilMs?: number;
  /** `@accept`: rules of `remit policy lint` and mutants of `remit policy test --mutate` that the author accepts. */
  readonly accepts: readonly string[];
}

/** What is wrong with one annotation. */
export interface AnnotationProblem {
  readonly name: string;
  readonly message: string;
  readonly help: string | null;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const REASON = /^[^\p{C}\p{Zl}\p{Zp}]{1,200}$/u;
const ACCEPTED = String.raw`(?:mutant-[0-9a-f]{8}|[a-z]+(?:-[a-z]+)*)`;
// oxlint-disable-next-line remit/linear-expression -- the operator’s text, with `-` and blanks between the repetitions
const ACCEPT = new RegExp(`^${ACCEPTED}(?: ${ACCEPTED})*$`);
const KNOWN = ['id', 'reason', 'shadow', 'description', 'accept', 'always', 'until'];
const MAX_SHOWN = 128;

/** Parses annotations by name; `null` is an annotation without a value. All but `@id` are optional. */
export function annotationsFrom(given: ReadonlyMap<string, string | null>): {
  readonly annotations: Annotations;
  readonly problems: readonly AnnotationProblem[];
} {
  const id = given.get('id') ?? '';
  const reason = given.get('reason') ?? null;
  const untilMs = cedarInstantFrom(given.get('until'));
  const problems = [
    ...unknownNames(given),
    idProblem(given.get('id') ?? null),
    given.has('reason') && !REASON.test(reason ?? '')
      ? problem('reason', 'the reason must be 1 to 200 printable characters')
      : null,
    given.has('shadow') && given.get('shadow') !== 'true'
      ? problem('shadow', 'the only value of `@shadow` is `"true"`')
      : null,
    given.has('always') && given.get('always') !== 'true'
      ? problem('always', 'the only value of `@always` is `"true"`')
      : null,
    given.has('always') && given.has('shadow')
      ? problem('always', '`@always` and `@shadow` exclude each other: a shadow policy denies nothing')
      : null,
    given.has('until') && untilMs === null
      ? problem(
          'until',
          '`@until` is the day from which the permit is absent, such as `"2027-01-31"`, or an instant, such as `"2027-01-31T12:00:00Z"`',
          'both in UTC',
        )
      : null,
    untilMs !== null && untilMs % 1000 !== 0
      ? problem(
          'until',
          '`@until` is in whole seconds, as `context.now` is: within its second the permit would outlive it',
          'leave the milliseconds out',
        )
      : null,
    given.has('accept') && !ACCEPT.test(given.get('accept') ?? '')
      ? problem(
          'accept',
          '`@accept` names rules of `remit policy lint` and mutants of `remit policy test --mutate`, with a blank between them',
        )
      : null,
  ].filter((found) => found !== null);
  const accepts = (given.get('accept') ?? '').split(' ').filter((name) => name !== '');
  const always = given.get('always') === 'true' ? ({ always: true } as const) : {};
  const until = untilMs === null ? {} : { untilMs };
  return {
    annotations: { id, reason, shadow: given.get('shadow') === 'true', accepts, ...always, ...until },
    problems,
  };
}

const problem = (name: string, message: string, help: string | null = null): AnnotationProblem => ({
  name,
  message,
  help,
});

function unknownNames(given: ReadonlyMap<string, string | null>): readonly AnnotationProblem[] {
  const help = `known: ${KNOWN.map((known) => `@${known}`).join(', ')}`;
  return [...given.keys()]
    .filter((name) => !KNOWN.includes(name))
    .map((name) => problem(name, `unknown annotation \`@${name}\``, help));
}

function idProblem(id: string | null): AnnotationProblem | null {
  if (id === null) return problem('id', 'the policy lacks an `@id`', 'begin it with `@id("…")`, unique in the set');
  if (ID.test(id)) return null;
  return problem(
    'id',
    `the id \`${id.slice(0, MAX_SHOWN)}\` must be letters, digits, \`.\`, \`_\` and \`-\`, at most 128`,
  );
}
