import { inReadingOrder } from '../../core/action/catalog/finding.ts';
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import { yamlFields, itemsOf, openYaml, valueOf } from '../../core/action/catalog/yaml-file.ts';
import type { PlacedNode, YamlFile } from '../../core/action/catalog/yaml-file.ts';
import { AUTHORIZATION_DETAILS_TYPE, authorizationDetailsFrom } from '../../core/token/authorization-details.ts';
import { textLike } from '../../core/runtime/fields.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { jsonOf } from '../../core/runtime/yaml-text.ts';
import { DURATION_RULE, secondsFrom } from '../run/duration.ts';
import { isNamePattern, NAME_PATTERN_RULE } from '../run/name-pattern.ts';

/** One entry of `access`: an `authorization_details` entry for one resource, as JSON. */
export interface AccessEntry {
  readonly resource: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

const sentence = textLike('a sentence that says what the task is for', (words) => words.trim() !== '');
const resourceUrl = textLike('the URL under which the issuer knows the tool server', () => true);

/** The declared intent of a command. */
export interface IntentFile {
  readonly purpose: string;
  /** At least one. */
  readonly access: readonly AccessEntry[];
  /** Longest duration of the task, in seconds; `null` leaves it to the issuer. */
  readonly expiresInSeconds: number | null;
  /** Names of variables, with `*`, that `remit run` passes on to the command, or does not, whatever they look like. */
  readonly keep: readonly string[];
  readonly take: readonly string[];
}

/**
 * Parses an intent in YAML or JSON: `purpose`, `access` (a list of `resource`, `actions` and `constraints`), `expires_in`, `keep`
 * and `take`.
 * Strict, like the token endpoint: an unknown key or constraint is a finding with line and column.
 */
export function intentFileFrom(
  text: string,
  file: string,
): IntentFile | { readonly findings: readonly SourceFinding[] } {
  const yaml = openYaml(text, file);
  if (yaml.findings.length > 0) return { findings: yaml.findings };
  const fields = yamlFields(yaml, yaml.root, {
    what: 'an intent',
    required: ['purpose', 'access'],
    optional: ['expires_in', 'keep', 'take', '$schema'],
  });
  const purpose = valueOf(yaml, fields.get('purpose'), { what: 'the purpose', reader: sentence });
  const listed = fields.get('access');
  const entries = listed === undefined ? [] : itemsOf(yaml, listed, '`access`');
  if (listed !== undefined && entries.length === 0 && yaml.findings.length === 0) {
    yaml.report(listed.offset, '`access` must have at least one entry');
  }
  const access = entries.map((entry) => accessFrom(yaml, entry, { purpose: purpose ?? '', at: fields }));
  const expiresInSeconds = expiryFrom(yaml, fields.get('expires_in'));
  const [keep, take] = [patternsFrom(yaml, fields.get('keep'), 'keep'), patternsFrom(yaml, fields.get('take'), 'take')];
  if (yaml.findings.length > 0 || purpose === null) return { findings: inReadingOrder(yaml.findings) };
  return { purpose, access: access.filter((entry) => entry !== null), expiresInSeconds, keep, take };
}

function accessFrom(
  yaml: YamlFile,
  entry: PlacedNode,
  intent: { readonly purpose: string; readonly at: ReadonlyMap<string, PlacedNode> },
): AccessEntry | null {
  const before = yaml.findings.length;
  const fields = yamlFields(yaml, entry, {
    what: 'an entry of `access`',
    required: ['resource', 'actions'],
    optional: ['constraints'],
  });
  const resource = valueOf(yaml, fields.get('resource'), { what: 'a resource', reader: resourceUrl });
  if (yaml.findings.length > before || resource === null || intent.purpose === '') return null;
  const constraints = jsonOf(fields.get('constraints')?.value);
  const detail = {
    type: AUTHORIZATION_DETAILS_TYPE,
    locations: [resource],
    actions: jsonOf(fields.get('actions')?.value),
    purpose: intent.purpose,
    ...(constraints === undefined ? {} : { constraints }),
  };
  const read = authorizationDetailsFrom([detail]);
  if (!isProblem(read)) return { resource, detail };
  const problem = read.problem.replace(/^entry 0 /, '').replace('member `locations` entry 0', 'member `resource`');
  const [, member = ''] = /^member `([a-z_]+)`/.exec(problem) ?? [];
  const place = fields.get(member as 'resource') ?? intent.at.get(member) ?? entry;
  yaml.report(place.offset, problem.replace(/^member /, ''));
  return null;
}

const MAX_PATTERNS = 64;

/** A list of patterns for names of variables; empty if absent. */
function patternsFrom(yaml: YamlFile, node: PlacedNode | undefined, key: 'keep' | 'take'): readonly string[] {
  if (node === undefined) return [];
  const listed = jsonOf(node.value);
  const isList = Array.isArray(listed) && listed.length > 0 && listed.length <= MAX_PATTERNS;
  if (isList && listed.every((one): one is string => typeof one === 'string' && isNamePattern(one))) return listed;
  yaml.report(node.offset, `\`${key}\` must be a list of 1 to ${MAX_PATTERNS} entries, each ${NAME_PATTERN_RULE}`);
  return [];
}

function expiryFrom(yaml: YamlFile, node: PlacedNode | undefined): number | null {
  if (node === undefined) return null;
  const value = jsonOf(node.value);
  const seconds = typeof value === 'string' || typeof value === 'number' ? secondsFrom(String(value)) : null;
  if (seconds === null) yaml.report(node.offset, `\`expires_in\` must be ${DURATION_RULE}`);
  return seconds;
}
