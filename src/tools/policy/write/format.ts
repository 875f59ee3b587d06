import type { Cedar } from '../../../core/policy/cedar.ts';
import { cedarComments, cedarStatements } from '../../../core/policy/cedar-text.ts';
import { policiesOf, placed } from '../../../core/policy/loading/policy-file.ts';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import type { SourceFile } from '../../../core/policy/loading/source.ts';
import { withoutEnd } from '../../../core/runtime/without-end.ts';

const WIDTH = 80;
const INDENT = 2;

/**
 * A policy file in Cedar's style, 80 columns wide: policies formatted by the engine, text between them kept, with at most one
 * blank line. The meaning is unchanged: a format that would change a policy or a comment is a finding, as is a file that does
 * not parse.
 */
export function formatted(
  source: SourceFile,
  cedar: Cedar,
): { readonly text: string } | { readonly findings: readonly SourceFinding[] } {
  const file = placed(source);
  // Only depth and syntax: annotations do not matter for formatting.
  const { policies, templates, findings } = policiesOf(file, cedar);
  const statements = cedarStatements(source.text);
  if (policies.length + templates.length !== statements.length) return { findings };
  let text = '';
  let end = 0;
  for (const statement of statements) {
    const pretty = prettyPolicy(statement.text, cedar);
    if (pretty === null) {
      const message = 'the policy could not be formatted without a change to it';
      return { findings: [{ file: source.file, ...file.placeAt(statement.start), message, help: null }] };
    }
    text += between(source.text.slice(end, statement.start)) + pretty;
    end = statement.start + statement.text.length;
  }
  text += between(source.text.slice(end));
  return { text: text.trim() === '' ? '' : `${text.trim()}\n` };
}

function prettyPolicy(policy: string, cedar: Cedar): string | null {
  const answer = cedar.formatPolicies({ policyText: policy, lineWidth: WIDTH, indentWidth: INDENT });
  if (answer.type === 'failure') return null;
  // Trailing blanks of a comment line are not part of the comment.
  const pretty = withoutTrailingBlanks(answer.formatted_policy.trim());
  const isSame =
    meaning(pretty, cedar) === meaning(policy, cedar) &&
    cedarComments(pretty).join('\n') === cedarComments(policy).join('\n');
  return isSame ? pretty : null;
}

const meaning = (policy: string, cedar: Cedar): string => {
  const json = cedar.policyToJson(policy);
  return JSON.stringify(json.type === 'success' ? json : cedar.templateToJson(policy));
};

const withoutTrailingBlanks = (text: string): string =>
  text
    .split('\n')
    .map((line) => withoutEnd(line, ' \t\r'))
    .join('\n');

const between = (text: string): string => withoutTrailingBlanks(text).replaceAll(/\n{3,}/g, '\n\n');
