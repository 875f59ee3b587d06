import type { SourceFinding } from '../../action/catalog/finding.ts';
import type { Cedar } from '../cedar.ts';
import { entityKey } from '../entities.ts';
import type { PlacedEntity } from '../entities.ts';
import { hasExplicitValues } from './explicit-values.ts';
import { problemsOf } from './policy-file.ts';
import type { CedarProblem } from './policy-file.ts';
import type { SourceFile } from './source.ts';

/**
 * Checks entities against the base schema (the catalog adds only actions to it): no duplicates, known types and attributes,
 * values that mean the same without a schema, no cycle of groups.
 */
export function entityProblems(
  entities: readonly PlacedEntity[],
  base: SourceFile,
  cedar: Cedar,
): readonly SourceFinding[] {
  const findings = [...repeated(entities), ...implicit(entities, base, cedar)];
  const together = check(entities, base, cedar);
  if (together.length === 0) return findings;
  // Cedar does not report a position, so entities are checked separately. A problem of several (a cycle) is reported at the first file.
  const alone = entities.flatMap((placed) => {
    const [problem] = check([placed], base, cedar);
    return problem === undefined ? [] : [finding(placed, problem.message, problem.help)];
  });
  const [first] = entities;
  if (alone.length > 0 || findings.length > 0 || first === undefined) return [...findings, ...alone];
  return together.map(({ message, help }) => finding({ ...first, line: 1, column: 1 }, message, help));
}

const finding = ({ file, line, column }: PlacedEntity, message: string, help: string | null = null): SourceFinding => ({
  file,
  line,
  column,
  message,
  help,
});

function repeated(entities: readonly PlacedEntity[]): readonly SourceFinding[] {
  const first = new Map<string, PlacedEntity>();
  const findings: SourceFinding[] = [];
  for (const placed of entities) {
    const key = entityKey(placed.entity.uid);
    const taken = first.get(key);
    if (taken === undefined) first.set(key, placed);
    else
      findings.push(
        finding(placed, `the entity \`${placed.entity.uid.id}\` is already at ${taken.file}:${taken.line}`),
      );
  }
  return findings;
}

function implicit(entities: readonly PlacedEntity[], base: SourceFile, cedar: Cedar): readonly SourceFinding[] {
  const schema = cedar.schemaToJsonWithResolvedTypes(base.text);
  if (schema.type === 'failure') return [];
  return entities
    .filter(({ entity }) => !hasExplicitValues(schema.json, entity.uid.type, entity))
    .map((placed) => {
      const message = `the entity \`${placed.entity.uid.id}\` has implicit entity or extension values`;
      return finding(placed, message, 'write them as `{"__entity": …}` and `{"__extn": …}`');
    });
}

function check(entities: readonly PlacedEntity[], base: SourceFile, cedar: Cedar): readonly CedarProblem[] {
  const list = entities.map(({ entity }) => entity);
  // Safe: the library's type only lacks `readonly`, and the call itself validates the values.
  return problemsOf(cedar.checkParseEntities({ entities: list, schema: base.text } as unknown as EntitiesCall));
}

type EntitiesCall = Parameters<Cedar['checkParseEntities']>[0];
