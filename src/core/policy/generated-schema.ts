import type { SourceFinding } from '../action/catalog/finding.ts';
import type { GeneratedSchema } from './schema.ts';
import type { SourceFile } from './loading/source.ts';

/** First line of the file, so that nobody edits it by hand. */
const HEAD = '// Written by `remit policy schema --write` from actions.yaml and base.cedarschema. Change those.';

/** The generated schema as a file beside the base, for editors and `cedar validate`. */
export const generatedSchemaText = ({ text }: Pick<GeneratedSchema, 'text'>): string => `${HEAD}\n${text.trimEnd()}\n`;

/** A finding if the generated schema file beside the base is out of date; none if there is no such file. */
export const staleSchemaFindings = (
  file: SourceFile | null,
  schema: Pick<GeneratedSchema, 'text'>,
): readonly SourceFinding[] =>
  file === null || file.text === generatedSchemaText(schema)
    ? []
    : [
        {
          file: file.file,
          line: 1,
          column: 1,
          message: 'the generated schema does not match the catalog and the base schema',
          help: 'editors and `cedar validate` use it: run `remit policy schema --write`',
        },
      ];

/** A finding if this build replaces declarations of the folder's base schema with its own: the base schema is of another release. */
export const replacedFindings = (
  { file }: Pick<SourceFile, 'file'>,
  { replaced }: Pick<GeneratedSchema, 'replaced'>,
): readonly SourceFinding[] =>
  replaced.length === 0
    ? []
    : [
        {
          file,
          line: 1,
          column: 1,
          message: `the base schema is that of another release: ${replaced.map((name) => `\`${name}\``).join(', ')} of this build ${replaced.length === 1 ? 'is' : 'are'} used`,
          help: 'for editors, take the `base.cedarschema` of this build, and keep your own attributes; remit needs no copy',
        },
      ];
