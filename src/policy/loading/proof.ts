import { inReadingOrder } from '../../action/finding.ts';
import type { Finding, TextPlace } from '../../action/finding.ts';
import type { Cedar } from '../cedar.ts';
import type { PlacedEntity } from '../entities.ts';
import { entityProblems } from './entity-proof.ts';
import { cedarFinding, placed, problemsOf } from './policy-file.ts';
import type { CedarProblem, PolicyEntry, PolicyReader } from './policy-file.ts';
import { policiesIn } from './policy-files.ts';
import type { PolicyFiles } from './policy-files.ts';
import type { PolicyTemplate } from './policy-template.ts';
import { helpForRenamed } from './renamed.ts';
import type { GeneratedSchema } from '../schema.ts';
import type { SourceFile } from './source.ts';

/** What is to be proved: everything of a set but its catalog. Plain data, to be handed to another thread. */
export interface ProofInput {
  readonly base: SourceFile;
  /** `null` where the catalog could not be read: then only the rest is checked. */
  readonly schema: GeneratedSchema | null;
  readonly policies: readonly SourceFile[];
  readonly entities: readonly PlacedEntity[];
  /** Questions as Remit asks them, which the schema must accept. */
  readonly samples: readonly SampleCall[];
  /** Whether this is for a tool, which may save time at Cedar's JSON form of policies. Default no. */
  readonly isForTool?: boolean;
}

/** A call of the engine that validates the question against the schema. */
export type SampleCall = Omit<Parameters<Cedar['statefulIsAuthorized']>[0], 'preparsedPolicySetId'>;

/** The policies of a set, read from their files. */
export interface ReadPolicies {
  readonly policies: readonly PolicyEntry[];
  readonly templates: readonly PolicyTemplate[];
}

/** What came of it. Only without findings may the policies be used. */
export interface SetProof extends ReadPolicies {
  readonly findings: readonly Finding[];
  /** What is legal but can hardly be meant, such as a policy that can never match. */
  readonly warnings: readonly Finding[];
}

const SCHEMA = 'proof';

/**
 * Proves a policy set: base schema, policies and their ids, strict types, entities; every finding in one run. Runs where a
 * trap of the engine does no harm.
 *
 * @param onRead called before types are checked, where nothing was found so far
 */
export function prove(
  input: ProofInput,
  cedar: PolicyReader,
  onRead: (read: ReadPolicies) => void = () => {},
): SetProof {
  const schemaFile = placed(input.base);
  const base = problemsOf(cedar.checkParseSchema(input.base.text)).map((error) => cedarFinding(error, schemaFile));
  const read = policiesIn(input.policies, cedar);
  const { policies, templates } = read;
  const findings = [...base, ...read.findings, ...duplicates([...read.templates, ...policies])];
  if (base.length > 0 || input.schema === null)
    return { policies, templates, findings: inReadingOrder(findings), warnings: [] };
  const misfit = schemaMisfit(input, input.schema, cedar);
  if (misfit !== null) return { policies, templates, findings: inReadingOrder([...findings, misfit]), warnings: [] };
  if (findings.length === 0) onRead({ policies, templates });
  const types = typeProblems(read, { cedar, schema: input.schema });
  const entities = entityProblems(input.entities, input.base, cedar);
  return {
    policies,
    templates,
    findings: inReadingOrder([...findings, ...types.findings, ...entities]),
    warnings: inReadingOrder(types.warnings),
  };
}

/** A linked policy has its id where it is linked. */
function duplicates(policies: readonly (PolicyEntry | PolicyTemplate)[]): readonly Finding[] {
  const first = new Map<string, TextPlace & { readonly file: string }>();
  const findings: Finding[] = [];
  for (const policy of policies) {
    const { file, line, column } = ('link' in policy ? policy.link : undefined) ?? policy;
    const taken = first.get(policy.id);
    if (taken === undefined) first.set(policy.id, { file, line, column });
    else if (policy.id !== '') {
      const message = `the id \`${policy.id}\` is taken by the policy at ${taken.file}:${taken.line}`;
      findings.push({ file, line, column, message, help: null });
    }
  }
  return findings;
}

/** Mostly the base is that of an earlier build, or was changed where Remit fills it. */
const OWN_BASE = 'take the `base.cedarschema` that comes with this build, and add your own attributes to it';

/** The base schema must have room for the catalog's actions and take the context as Remit fills it. */
function schemaMisfit(input: ProofInput, schema: GeneratedSchema, cedar: Cedar): Finding | null {
  const file = { file: input.base.file, line: 1, column: 1 };
  const [generated] = problemsOf(cedar.checkParseSchema(schema.text));
  if (generated !== undefined) {
    return {
      ...file,
      message: `the actions of the catalog do not fit the schema: ${generated.message}`,
      help: generated.help ?? OWN_BASE,
    };
  }
  cedar.preparseSchema(SCHEMA, schema.text);
  cedar.preparsePolicySet(SCHEMA, { staticPolicies: {} });
  for (const sample of input.samples) {
    const call = { ...sample, preparsedPolicySetId: SCHEMA, preparsedSchemaName: SCHEMA, validateRequest: true };
    const [refused] = problemsOf(cedar.statefulIsAuthorized(call));
    if (refused !== undefined) {
      return {
        ...file,
        message: `the schema does not take what remit asks: ${refused.message}`,
        help: refused.help ?? OWN_BASE,
      };
    }
  }
  return null;
}

/**
 * Strict validation. Policies are keyed by their index, since at this point an id may be missing or taken. Those that are no templates are
 * handed over as one text, which Cedar names by their index too: one by one they take it twice the time.
 */
function typeProblems(
  { files, policies, templates }: PolicyFiles,
  by: { readonly cedar: Cedar; readonly schema: GeneratedSchema },
): Pick<SetProof, 'findings' | 'warnings'> {
  const byFile = new Map(files.map((file) => [file.file, file]));
  const keyed = new Map<string, PolicyEntry | PolicyTemplate>([
    ...policies.map((policy, index) => [`policy${index}`, policy] as const),
    ...templates.map((template, index) => [`template${index}`, template] as const),
  ]);
  const starts = new Map<string, number>();
  let bytes = 0;
  for (const [index, { text }] of policies.entries()) {
    starts.set(`policy${index}`, bytes);
    bytes += Buffer.byteLength(text) + 1;
  }
  const answer = by.cedar.validate({
    schema: by.schema.text,
    policies: {
      staticPolicies: policies.map(({ text }) => text).join('\n'),
      templates: Object.fromEntries(templates.map(({ text }, index) => [`template${index}`, text])),
    },
  });
  // INVARIANT: schema and policies were parsed before, so a failure to parse them is a fault of ours.
  if (answer.type === 'failure') throw new Error(`policies that parse were refused: ${answer.errors[0]?.message}`);
  const place = (found: { readonly policyId: string; readonly error: CedarProblem }): readonly Finding[] => {
    const policy = keyed.get(found.policyId);
    const source = policy && byFile.get(policy.file);
    if (policy === undefined || source === undefined) return [];
    const error = movedBack(found.error, starts.get(found.policyId) ?? 0);
    const finding = cedarFinding(error, source, { from: policy.offset, policy });
    const named = policy.id === '' ? {} : { policy: policy.id };
    return [{ ...finding, ...named, help: helpForRenamed(finding.message) ?? finding.help }];
  };
  const findingsOf = (found: Parameters<typeof place>[0][]) =>
    oncePerPlace(withoutTemplates(found.flatMap(place), templates));
  return { findings: findingsOf(answer.validationErrors), warnings: findingsOf(answer.validationWarnings) };
}

/** An error as it is of a text that begins that many bytes later. */
const movedBack = (error: CedarProblem, bytes: number): CedarProblem =>
  error.sourceLocations === undefined
    ? error
    : {
        ...error,
        sourceLocations: error.sourceLocations.map((at) => ({ ...at, start: at.start - bytes, end: at.end - bytes })),
      };

const keyOf = ({ file, line, column, message }: Finding): string => JSON.stringify([file, line, column, message]);

/** What is so of a template is so of each of its links, and is said once. */
function withoutTemplates(findings: readonly Finding[], templates: readonly PolicyTemplate[]): readonly Finding[] {
  const ids = new Set(templates.map(({ id }) => id));
  const ofTemplates = new Set(findings.flatMap((found) => (ids.has(found.policy ?? '') ? [keyOf(found)] : [])));
  return findings.filter((found) => ids.has(found.policy ?? '') || !ofTemplates.has(keyOf(found)));
}

const ACTION = /Remit::Action::"(?:[^"\\]|\\.)*"/;

/**
 * A policy for many actions is checked for each of them. What differs by the action alone is said once, with every action it is
 * so for; all else at one place is said by itself.
 */
function oncePerPlace(findings: readonly Finding[]): readonly Finding[] {
  const alike = Map.groupBy(inReadingOrder(findings), ({ file, line, column, policy, message, help }) =>
    JSON.stringify([file, line, column, policy, message.replace(ACTION, ''), help]),
  );
  return [...alike.values()].flatMap(([first, ...more]) => {
    if (first === undefined) return [];
    const others = new Set(more.flatMap(({ message }) => ACTION.exec(message) ?? []));
    const also = others.size === 0 ? '' : `; the same for ${[...others].join(', ')}`;
    return [{ ...first, message: `${first.message}${also}` }];
  });
}
