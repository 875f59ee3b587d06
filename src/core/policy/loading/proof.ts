import { inReadingOrder } from '../../action/catalog/finding.ts';
import type { SourceFinding } from '../../action/catalog/finding.ts';
import type { TextPlace } from '../../runtime/text-place.ts';
import type { Cedar } from '../cedar.ts';
import type { PlacedEntity } from '../entities.ts';
import { entityProblems } from './entity-proof.ts';
import { cedarFinding, placed, problemsOf } from './policy-file.ts';
import type { CedarProblem, PolicyEntry, PolicyReader } from './policy-file.ts';
import { policiesIn } from './policy-files.ts';
import type { PolicyFiles } from './policy-files.ts';
import type { PolicyTemplate } from './policy-template.ts';
import type { GeneratedSchema } from '../schema.ts';
import type { SourceFile } from './source.ts';

/** The input of a proof: everything of a set except its catalog. Plain data, since it is sent to another thread. */
export interface ProofInput {
  readonly base: SourceFile;
  /** `null` if the catalog is invalid: then only the rest is checked. */
  readonly schema: GeneratedSchema | null;
  readonly policies: readonly SourceFile[];
  readonly entities: readonly PlacedEntity[];
  /** Sample questions, which the schema must accept. */
  readonly samples: readonly SampleCall[];
  /** Whether a tool runs the proof, which may use `withFormsOnce`. Default: no. */
  readonly isForTool?: boolean;
  /** Whether checks are answered meanwhile, so that the thread of the proof must yield to them. Default: no. */
  readonly isBesideChecks?: boolean;
}

/** A call of the engine that validates the question against the schema. */
export type SampleCall = Omit<Parameters<Cedar['statefulIsAuthorized']>[0], 'preparsedPolicySetId'>;

/** The policies of a set, read from their files. */
export interface ReadPolicies {
  readonly policies: readonly PolicyEntry[];
  readonly templates: readonly PolicyTemplate[];
}

/** The result of a proof. The policies may be used only if there are no findings. */
export interface SetProof extends ReadPolicies {
  readonly findings: readonly SourceFinding[];
  /** Valid but probably a mistake, such as a policy that can never match. */
  readonly warnings: readonly SourceFinding[];
}

const SCHEMA = 'proof';

/**
 * Proves a policy set: base schema, policies and their ids, strict types, entities. Reports all findings in one run. Must run
 * where a trap of the engine is harmless.
 *
 * @param onRead called before types are checked, if there are no findings so far
 */
export function prove(
  input: ProofInput,
  cedar: PolicyReader,
  onRead: (read: ReadPolicies) => void = () => {},
): SetProof {
  const schemaFile = placed(input.base);
  const read = policiesIn(input.policies, cedar);
  const { policies, templates } = read;
  const ofPolicies = [...read.findings, ...duplicates([...templates, ...policies])];
  const base = problemsOf(cedar.checkParseSchema(input.base.text)).map((error) => cedarFinding(error, schemaFile));
  const findings = [...base, ...ofPolicies];
  if (base.length > 0 || input.schema === null)
    return { policies, templates, findings: inReadingOrder(findings), warnings: [] };
  const misfit = schemaMisfit(input, input.schema, cedar);
  if (misfit !== null) return { policies, templates, findings: inReadingOrder([...findings, misfit]), warnings: [] };
  if (findings.length === 0) onRead({ policies, templates });
  const types = typeProblems(read, { cedar, schema: input.schema });
  const entities = entityProblems(input.entities, { ...input.base, text: input.schema.base }, cedar);
  return {
    policies,
    templates,
    findings: inReadingOrder([...findings, ...types.findings, ...entities]),
    warnings: inReadingOrder(types.warnings),
  };
}

/** Findings for repeated ids. The id of a linked policy is in its link. */
function duplicates(policies: readonly (PolicyEntry | PolicyTemplate)[]): readonly SourceFinding[] {
  const first = new Map<string, TextPlace & { readonly file: string }>();
  const findings: SourceFinding[] = [];
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

/** The likely cause is a base schema of another build, or a change in the part that Remit fills. */
const OWN_BASE = 'take the `base.cedarschema` that comes with this build, and add your own attributes to it';

/** Checks that the base schema accepts the catalog's actions, and the context that Remit passes. */
function schemaMisfit(input: ProofInput, schema: GeneratedSchema, cedar: Cedar): SourceFinding | null {
  const file = { file: input.base.file, line: 1, column: 1 };
  const [generated] = problemsOf(cedar.preparseSchema(SCHEMA, schema.text));
  if (generated !== undefined) {
    return {
      ...file,
      message: `the actions of the catalog do not fit the schema: ${generated.message}`,
      help: generated.help ?? OWN_BASE,
    };
  }
  cedar.preparsePolicySet(SCHEMA, { staticPolicies: {} });
  for (const sample of input.samples) {
    const call = { ...sample, preparsedPolicySetId: SCHEMA, preparsedSchemaName: SCHEMA, validateRequest: true };
    const [refused] = problemsOf(cedar.statefulIsAuthorized(call));
    if (refused !== undefined) {
      return {
        ...file,
        message: `the schema refuses the questions of remit: ${refused.message}`,
        help: refused.help ?? OWN_BASE,
      };
    }
  }
  return null;
}

/**
 * Strict validation. Policies are keyed by index, because an id may be missing or repeated here. Static policies are passed as
 * one text, which takes half the time; Cedar names them by index too.
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
  // INVARIANT: schema and policies parsed before, so a parse failure here is a bug.
  if (answer.type === 'failure') throw new Error(`policies that parse were refused: ${answer.errors[0]?.message}`);
  const place = (found: { readonly policyId: string; readonly error: CedarProblem }): readonly SourceFinding[] => {
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

/** The error with its places moved back by a number of bytes. */
const movedBack = (error: CedarProblem, bytes: number): CedarProblem =>
  error.sourceLocations === undefined
    ? error
    : {
        ...error,
        sourceLocations: error.sourceLocations.map((at) => ({ ...at, start: at.start - bytes, end: at.end - bytes })),
      };

const keyOf = ({ file, line, column, message }: SourceFinding): string => JSON.stringify([file, line, column, message]);

/** Drops findings of linked policies that repeat a finding of their template. */
function withoutTemplates(
  findings: readonly SourceFinding[],
  templates: readonly PolicyTemplate[],
): readonly SourceFinding[] {
  const ids = new Set(templates.map(({ id }) => id));
  const ofTemplates = new Set(findings.flatMap((found) => (ids.has(found.policy ?? '') ? [keyOf(found)] : [])));
  return findings.filter((found) => ids.has(found.policy ?? '') || !ofTemplates.has(keyOf(found)));
}

const ACTION = /Remit::Action::"(?:[^"\\]|\\.)*"/;

/**
 * Cedar checks a policy for each action it covers. Merges findings that differ only by the action into a single finding that lists the
 * actions.
 */
function oncePerPlace(findings: readonly SourceFinding[]): readonly SourceFinding[] {
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

/** Names that policies for earlier builds read, with their replacements. */
const renamed: ReadonlyMap<string, string> = new Map([
  [
    'taskContext',
    'read `context.attested` for what others vouch for, `context.attested.contains({name: "…", value: "…", by: "spiffe://…"})`, or `context.claimed` for the agent\'s own word, by which no policy should permit',
  ],
]);

/** The help for a Cedar message about a renamed name; `null` for any other message. */
function helpForRenamed(message: string): string | null {
  for (const [name, help] of renamed) if (message.includes(`\`${name}\``)) return help;
  return null;
}
