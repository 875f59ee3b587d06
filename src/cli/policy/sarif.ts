import type { SourceFinding } from '../../core/action/catalog/finding.ts';

/** A finding in SARIF's terms. */
export interface SarifResult {
  readonly rule: string;
  readonly level: 'error' | 'warning' | 'note';
  readonly finding: SourceFinding;
}

/**
 * Findings as SARIF 2.1.0, which code hosts show in context. Files are named as the operator named them, so run the command
 * from the root of the repository with a relative folder. Columns count code points.
 *
 * @param rules descriptions by rule id, covering every result
 * @see SARIF 2.1.0 sections 3.14, 3.27, 3.30 and 3.33
 */
export function sarifOf(results: readonly SarifResult[], rules: ReadonlyMap<string, string>): unknown {
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: {
            name: 'remit',
            rules: Array.from(rules, ([id, text]) => ({ id, shortDescription: { text } })),
          },
        },
        columnKind: 'unicodeCodePoints',
        results: results.map(resultOf),
      },
    ],
  };
}

const resultOf = ({
  rule,
  level,
  finding: { file, line, column, message, help, end, policy = null },
}: SarifResult): unknown => ({
  ruleId: rule,
  level,
  message: { text: help === null ? message : `${message}; ${help}` },
  locations: [
    {
      physicalLocation: {
        artifactLocation: { uri: file.split('/').map(encodeURIComponent).join('/') },
        region: {
          startLine: line,
          startColumn: column,
          ...(end === undefined ? {} : { endLine: end.line, endColumn: end.column }),
        },
      },
      ...(policy === null ? {} : { logicalLocations: [{ name: policy, kind: 'policy' }] }),
    },
  ],
});
