import type { SourceFinding } from '../action/catalog/finding.ts';
import { freshCedar } from './cedar.ts';
import { cedarFinding, placed, problemsOf } from './loading/policy-file.ts';
import type { GeneratedSchema } from './schema.ts';
import type { SourceFile } from './loading/source.ts';

/** A generated schema in Cedar's JSON format, or what is wrong with its base. */
export function schemaJson(
  base: SourceFile,
  schema: GeneratedSchema,
): { readonly json: unknown } | { readonly findings: readonly SourceFinding[] } {
  const cedar = freshCedar();
  const source = placed(base);
  const findings = problemsOf(cedar.checkParseSchema(base.text)).map((error) => cedarFinding(error, source));
  if (findings.length > 0) return { findings };
  const answer = cedar.schemaToJson(schema.text);
  if (answer.type === 'success') return { json: answer.json };
  const [error] = answer.errors;
  const message = `the actions of the catalog do not fit the schema: ${error?.message ?? ''}`;
  return { findings: [{ file: base.file, line: 1, column: 1, message, help: error?.help ?? null }] };
}
