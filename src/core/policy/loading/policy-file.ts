import { placesIn } from '../../runtime/text-place.ts';
import type { SourceFinding } from '../../action/catalog/finding.ts';
import type { TextPlace } from '../../runtime/text-place.ts';
import { annotationsFrom } from './annotations.ts';
import type { Annotations } from './annotations.ts';
import type { Cedar } from '../cedar.ts';
import { cedarStatements, offsetOfByte } from '../cedar-text.ts';
import type { CedarStatement } from '../cedar-text.ts';
import { MAX_POLICY_DEPTH, policyDepth } from './depth.ts';
import type { PolicyFacts } from '../evaluator.ts';
import { withEnd } from './policy-end.ts';
import { offsetInTemplate, slotsIn } from './policy-template.ts';
import type { PolicyTemplate, Replaced, Slot } from './policy-template.ts';
import { readsOf } from '../answers/reads.ts';
import { scopeFrom } from '../answers/scope.ts';
import type { SourceFile } from './source.ts';

/** One policy of a file. */
export interface PolicyEntry extends Annotations, PolicyFacts {
  readonly effect: 'permit' | 'forbid';
  readonly text: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Start of the policy, or of a linked policy's template, in its file; in UTF-16 code units. */
  readonly offset: number;
  /** Its link; absent for a static policy. */
  readonly link?: PolicyLink;
}

/** The link and template of a linked policy, whose own file and place are those of the template. */
export interface PolicyLink extends TextPlace {
  /** The id of the template. */
  readonly template: string;
  /** The text of the template. */
  readonly text: string;
  readonly replaced: readonly Replaced[];
  /** The file of the link. */
  readonly file: string;
}

/** A policy as written in its file: that text, and a map of offsets in the policy to offsets in that text. */
export const writtenPolicy = ({
  text,
  link,
}: Pick<PolicyEntry, 'text' | 'link'>): { readonly text: string; readonly offsetOf: (offset: number) => number } => ({
  text: link?.text ?? text,
  offsetOf: (offset) => (link === undefined ? offset : offsetInTemplate(link.replaced, offset)),
});

/** A file with the places of its offsets. */
export interface PlacedSource extends SourceFile {
  readonly placeAt: (offset: number) => TextPlace;
}

/** Prepares a file for findings. */
export const placed = (source: SourceFile): PlacedSource => ({ ...source, placeAt: placesIn(source.text) });

/** The policies, templates and findings of one file. */
export interface PolicyFileParts {
  readonly policies: readonly PolicyEntry[];
  readonly templates: readonly PolicyTemplate[];
  readonly findings: readonly SourceFinding[];
}

/** The part of a Cedar error that is shown. */
export interface CedarProblem {
  readonly message: string;
  readonly help: string | null;
  readonly sourceLocations?: readonly {
    readonly label: string | null;
    readonly start: number;
    readonly end: number;
  }[];
}

/**
 * Splits a file into its policies and templates and parses their annotations. A policy that nests too deeply is refused before
 * the engine receives the file; a policy that does not parse refuses the whole file.
 */
export function policiesOf(source: PlacedSource, cedar: PolicyReader): PolicyFileParts {
  const statements = cedarStatements(source.text);
  const deep = statements.flatMap((statement) => deepFinding(source, statement) ?? []);
  if (deep.length > 0) return { policies: [], templates: [], findings: deep };
  const parts = cedar.policySetTextToParts(source.text);
  if (parts.type === 'failure') {
    return { policies: [], templates: [], findings: parts.errors.map((error) => cedarFinding(error, source)) };
  }
  const split = [...parts.policies, ...parts.policy_templates].sort();
  const own = statements.map((statement) => statement.text).sort();
  // INVARIANT: our statements are exactly those that the engine parsed.
  if (split.length !== own.length || split.some((text, index) => text !== own[index])) {
    return {
      policies: [],
      templates: [],
      findings: [findingAt(source, 0, 'the file could not be split into its policies')],
    };
  }
  const entries = statements.map((statement) => policyOf(source, statement, cedar));
  return {
    policies: entries.flatMap((entry) => entry.policies),
    templates: entries.flatMap((entry) => entry.templates),
    findings: entries.flatMap((entry) => entry.findings),
  };
}

const findingAt = (
  source: PlacedSource,
  offset: number,
  message: string,
  help: string | null = null,
): SourceFinding => ({
  file: source.file,
  ...source.placeAt(offset),
  message,
  help,
});

function deepFinding(source: PlacedSource, statement: CedarStatement): SourceFinding | null {
  const depth = policyDepth(statement.tokens);
  if (depth <= MAX_POLICY_DEPTH) return null;
  const help = 'split it into several policies';
  return findingAt(source, statement.start, `the policy nests too deeply: ${depth}, at most ${MAX_POLICY_DEPTH}`, help);
}

function policyOf(source: PlacedSource, statement: CedarStatement, cedar: PolicyReader): PolicyFileParts {
  const slots = statement.text.includes('?') ? slotsIn(statement.tokens) : NO_SLOTS;
  if (slots.size > 0) return templateOf(source, statement, { slots, cedar });
  const answer = cedar.readPolicy?.(statement) ?? readingFrom(cedar.policyToJson(statement.text));
  if (answer.type === 'failure') return refusedBy(answer.errors, source, statement);
  const { given, ...facts } = answer.reading;
  const { annotations, findings } = annotated(source, statement, { given, effect: facts.effect });
  const policy = withEnd({ ...annotations, ...facts, text: statement.text, ...place(source, statement) });
  return { policies: [policy], templates: [], findings };
}

const NO_SLOTS: ReadonlySet<Slot> = new Set();

function templateOf(
  source: PlacedSource,
  statement: CedarStatement,
  { slots, cedar }: { readonly slots: ReadonlySet<Slot>; readonly cedar: Cedar },
): PolicyFileParts {
  const answer = cedar.templateToJson(statement.text);
  if (answer.type === 'failure') return refusedBy(answer.errors, source, statement);
  const { json } = answer;
  const { annotations, findings } = annotated(source, statement, {
    given: json.annotations ?? {},
    effect: json.effect,
  });
  const given = new Map(Object.entries(json.annotations ?? {}));
  const { effect } = json;
  const template = { ...annotations, given, effect, text: statement.text, json, slots, ...place(source, statement) };
  return { policies: [], templates: [template], findings };
}

const refusedBy = (
  errors: readonly CedarProblem[],
  source: PlacedSource,
  { start }: CedarStatement,
): PolicyFileParts => ({
  policies: [],
  templates: [],
  findings: errors.map((error) => cedarFinding(error, source, { from: start })),
});

function annotated(
  source: PlacedSource,
  statement: CedarStatement,
  { given, effect }: Pick<PolicyReading, 'given' | 'effect'>,
): { readonly annotations: Annotations; readonly findings: readonly SourceFinding[] } {
  const { annotations, problems } = annotationsFrom(new Map(Object.entries(given)));
  const findings = problems.map(({ name, message, help }) =>
    findingAt(source, offsetOfAnnotation(statement, name), message, help),
  );
  if (annotations.always === true && effect === 'permit') {
    const message = '`@always` is for a `forbid`: a permit always permits';
    findings.push(findingAt(source, offsetOfAnnotation(statement, 'always'), message));
  }
  if (annotations.untilMs !== undefined && effect === 'forbid') {
    const message = '`@until` is for a `permit`: a forbid that ends would permit, without anybody deciding it';
    const help = 'write `when { context.now < datetime("…") }` if that is meant';
    findings.push(findingAt(source, offsetOfAnnotation(statement, 'until'), message, help));
  }
  return { annotations, findings };
}

type PolicyJson = Extract<ReturnType<Cedar['policyToJson']>, { readonly type: 'success' }>['json'];

/** The facts that Cedar's JSON format gives about a policy. */
export interface PolicyReading extends Pick<PolicyEntry, 'effect' | keyof PolicyFacts> {
  /** Its annotations as written, by name. */
  readonly given: Readonly<Record<string, string | null>>;
}

/** Reads a policy; the engine's errors if it has no JSON form. */
export type ReadPolicy = (
  policy: Pick<CedarStatement, 'text' | 'tokens'>,
) =>
  | { readonly type: 'success'; readonly reading: PolicyReading }
  | { readonly type: 'failure'; readonly errors: readonly CedarProblem[] };

/** The engine for reading policies; `readPolicy`, if present, gives the same result as `policyToJson` faster. */
export type PolicyReader = Cedar & { readonly readPolicy?: ReadPolicy };

/** Reads a policy from its JSON form. */
export const readingOf = (json: PolicyJson): PolicyReading => ({
  given: json.annotations ?? {},
  effect: json.effect,
  scope: scopeFrom(json),
  reads: readsOf(json),
});

/** Reads a policy from the engine's answer. */
export const readingFrom = (answer: ReturnType<Cedar['policyToJson']>): ReturnType<ReadPolicy> =>
  answer.type === 'failure' ? answer : { type: 'success', reading: readingOf(answer.json) };

const place = (
  source: PlacedSource,
  { start }: CedarStatement,
): TextPlace & { readonly file: string; readonly offset: number } => ({
  file: source.file,
  offset: start,
  ...source.placeAt(start),
});

/** The start of the policy for a missing annotation. */
function offsetOfAnnotation({ tokens, start }: CedarStatement, name: string): number {
  const index = tokens.findIndex((token, at) => token.text === '@' && tokens[at + 1]?.text === name);
  return tokens[index]?.start ?? start;
}

/** The errors of a failed answer; empty for a success. */
export const problemsOf = (answer: {
  readonly type: string;
  readonly errors?: readonly CedarProblem[];
}): readonly CedarProblem[] => (answer.type === 'success' ? [] : (answer.errors ?? []));

/**
 * Converts a Cedar error to a finding with its place in the file.
 *
 * @param from offset in the file of the text that Cedar received
 * @param policy the policy that Cedar received; default: the file's text from `from` on
 */
export function cedarFinding(
  error: CedarProblem,
  source: PlacedSource,
  { from = 0, policy }: { readonly from?: number; readonly policy?: Pick<PolicyEntry, 'text' | 'link'> } = {},
): SourceFinding {
  const [location] = error.sourceLocations ?? [];
  const text = policy?.text ?? source.text.slice(from);
  const { offsetOf } = writtenPolicy({ text, ...(policy?.link === undefined ? {} : { link: policy.link }) });
  const offset = location === undefined ? 0 : offsetOf(offsetOfByte(text, location.start));
  const end = location === undefined ? 0 : offsetOf(offsetOfByte(text, location.end));
  const label = location?.label ?? null;
  const message = error.message
    .replace(/^for policy `[^`]*`, /, '')
    .replace(/^failed to parse .*? from string: (error parsing schema: )?/, '');
  const finding = findingAt(source, from + offset, label === null ? message : `${message}: ${label}`, error.help);
  return end > offset ? { ...finding, end: source.placeAt(from + end) } : finding;
}
