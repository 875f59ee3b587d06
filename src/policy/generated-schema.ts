import type { Finding } from '../action/finding.ts';
import type { GeneratedSchema } from './schema.ts';
import type { SourceFile } from './loading/source.ts';

/** What the file begins with, so that nobody changes it by hand. */
const HEAD = '// Written by `remit policy schema --write` from actions.yaml and base.cedarschema. Change those.';

/** The text of the generated schema as a file beside the base, for editors and `cedar validate`. */
export const generatedSchemaText = ({ text }: Pick<GeneratedSchema, 'text'>): string => `${HEAD}\n${text.trimEnd()}\n`;

/** That the file beside the base is not what catalog and base make; none where it is, and where there is no such file. */
export const staleSchemaFindings = (
  file: SourceFile | null,
  schema: Pick<GeneratedSchema, 'text'>,
): readonly Finding[] =>
  file === null || file.text === generatedSchemaText(schema)
    ? []
    : [
        {
          file: file.file,
          line: 1,
          column: 1,
          message: 'the generated schema is not what the catalog and the base schema make',
          help: 'editors and `cedar validate` judge the policies by it: run `remit policy schema --write`',
        },
      ];
