import { placesIn } from '../action/finding.ts';
import type { Finding, Place } from '../action/finding.ts';
import { annotationsFrom } from './annotations.ts';
import type { Annotations } from './annotations.ts';
import type { Cedar } from './cedar.ts';
import { cedarStatements, offsetOfByte } from './cedar-text.ts';
import type { CedarStatement } from './cedar-text.ts';
import { MAX_DEPTH, policyDepth } from './depth.ts';
import type { PolicyFacts } from './evaluator.ts';
import { readsOf } from './reads.ts';
import { scopeFrom } from './scope.ts';
import type { SourceFile } from './source.ts';

/** One policy of a file. */
export interface PolicyEntry extends Annotations, PolicyFacts {
  readonly effect: 'permit' | 'forbid';
  readonly text: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Where it begins in its file, in UTF-16 code units. */
  readonly offset: number;
}

/** A file with the places of its offsets. */
export interface PlacedSource extends SourceFile {
  readonly placeAt: (offset: number) => Place;
}

/** A file made ready for findings. */
export const placed = (source: SourceFile): PlacedSource => ({ ...source, placeAt: placesIn(source.text) });

/** The policies of one file, and what is wrong with it. */
export interface PolicyFileParts {
  readonly policies: readonly PolicyEntry[];
  readonly findings: readonly Finding[];
}

/** An error of Cedar, as far as it is shown. */
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
 * Splits a file into its policies and reads their annotations. A policy that nests too deeply is refused before the
 * engine sees the file; one that does not parse refuses the file.
 */
export function policiesOf(source: PlacedSource, cedar: Cedar): PolicyFileParts {
  const statements = cedarStatements(source.text);
  const deep = statements.flatMap((statement) => deepFinding(source, statement) ?? []);
  if (deep.length > 0) return { policies: [], findings: deep };
  const parts = cedar.policySetTextToParts(source.text);
  if (parts.type === 'failure') {
    return { policies: [], findings: parts.errors.map((error) => cedarFinding(error, source)) };
  }
  const split = [...parts.policies, ...parts.policy_templates].sort();
  const own = statements.map((statement) => statement.text).sort();
  // INVARIANT: what is checked is what the engine parsed, statement by statement.
  if (split.length !== own.length || split.some((text, index) => text !== own[index])) {
    return { policies: [], findings: [at(source, 0, 'the file could not be split into its policies')] };
  }
  const entries = statements.map((statement) => policyOf(source, statement, cedar));
  return {
    policies: entries.flatMap((entry) => entry.policies),
    findings: entries.flatMap((entry) => entry.findings),
  };
}

const at = (source: PlacedSource, offset: number, message: string, help: string | null = null): Finding => ({
  file: source.file,
  ...source.placeAt(offset),
  message,
  help,
});

function deepFinding(source: PlacedSource, statement: CedarStatement): Finding | null {
  const depth = policyDepth(statement.tokens);
  if (depth <= MAX_DEPTH) return null;
  const help = 'split it into several policies';
  return at(source, statement.start, `the policy nests too deeply: ${depth}, at most ${MAX_DEPTH}`, help);
}

function policyOf(source: PlacedSource, statement: CedarStatement, cedar: Cedar): PolicyFileParts {
  const json = cedar.policyToJson(statement.text);
  if (json.type === 'failure') {
    const isTemplate = statement.tokens.some(({ text }) => text === '?');
    const template = at(source, statement.start, 'templates are not supported: name the principal or resource');
    const errors = json.errors.map((error) => cedarFinding(error, source, statement.start));
    return { policies: [], findings: isTemplate ? [template] : errors };
  }
  const { annotations, problems } = annotationsFrom(new Map(Object.entries(json.json.annotations ?? {})));
  const facts = { effect: json.json.effect, scope: scopeFrom(json.json), reads: readsOf(json.json) };
  return {
    policies: [{ ...annotations, ...facts, text: statement.text, ...place(source, statement) }],
    findings: problems.map(({ name, message, help }) => at(source, offsetOfAnnotation(statement, name), message, help)),
  };
}

const place = (
  source: PlacedSource,
  { start }: CedarStatement,
): Place & { readonly file: string; readonly offset: number } => ({
  file: source.file,
  offset: start,
  ...source.placeAt(start),
});

/** Of an annotation that is missing, the beginning of the policy. */
function offsetOfAnnotation({ tokens, start }: CedarStatement, name: string): number {
  const index = tokens.findIndex((token, at) => token.text === '@' && tokens[at + 1]?.text === name);
  return tokens[index]?.start ?? start;
}

/** The errors of an answer that failed. */
export const problemsOf = (answer: {
  readonly type: string;
  readonly errors?: readonly CedarProblem[];
}): readonly CedarProblem[] => (answer.type === 'success' ? [] : (answer.errors ?? []));

/** What Cedar says about a text that stands at an offset of a file, with the place in the file. */
export function cedarFinding(error: CedarProblem, source: PlacedSource, from = 0): Finding {
  const [location] = error.sourceLocations ?? [];
  const rest = source.text.slice(from);
  const offset = location === undefined ? 0 : offsetOfByte(rest, location.start);
  const end = location === undefined ? 0 : offsetOfByte(rest, location.end);
  const label = location?.label ?? null;
  const message = error.message
    .replace(/^for policy `[^`]*`, /, '')
    .replace(/^failed to parse .*? from string: (error parsing schema: )?/, '');
  const finding = at(source, from + offset, label === null ? message : `${message}: ${label}`, error.help);
  return end > offset ? { ...finding, end: source.placeAt(from + end) } : finding;
}
