import { isMethodWithBody } from '../http/body.ts';
import type { RouteEntry } from './catalog-file.ts';
import type { SourceFinding } from './finding.ts';
import type { RouteTable } from './route-table.ts';
import type { YamlFile } from './yaml-file.ts';

/** Something valid in a catalog but probably a mistake. */
export interface CatalogRemark extends SourceFinding {
  /** Of the rules of `remit policy lint`. */
  readonly rule: 'query-arguments' | 'lookalike-path';
}

/** The remarks on a route, once all routes of its server are in the table. */
export const remarksOn = (route: RouteEntry, table: RouteTable<unknown>, yaml: YamlFile): readonly CatalogRemark[] =>
  [queryArguments(route, yaml), lookalikePath(route, table, yaml)].filter((remark) => remark !== null);

/**
 * Query arguments of a method whose body could contain them too: the entry should state that the upstream reads only the query.
 */
function queryArguments({ id, method, args, body, saysBody }: RouteEntry, yaml: YamlFile): CatalogRemark | null {
  if (!isMethodWithBody(method) || saysBody || body === 'json') return null;
  const names = args.flatMap(({ name, from }) => (from === 'query' ? [`\`${name}\``] : []));
  if (names.length === 0) return null;
  const message = `\`${id.value}\` is a \`${method}\`, and its arguments ${names.join(', ')} are read from the query`;
  const help =
    'take them `from: body` if the upstream does; if it reads the query alone, write `body: none`, or `json` or `opaque` if a call has a body';
  return { rule: 'query-arguments', ...yaml.findingAt(id.offset, message, help) };
}

/** A parameter that accepts lookalikes of another route: such calls are refused until the entry resolves it. */
function lookalikePath(
  { method, template }: RouteEntry,
  table: RouteTable<unknown>,
  yaml: YamlFile,
): CatalogRemark | null {
  const found = table.lookalikeOf(method, template.value);
  if (found === null) return null;
  const { parameter, literal, other } = found;
  const message = `\`{${parameter}}\` of \`${method} ${template.value.text}\` can match \`${literal}\` in another spelling, which the server may read as ${other}: such calls are refused`;
  const help = `give the parameter a type without such values, as in \`{${parameter}:uuid}\` or \`{${parameter}:int}\`; or write \`exactPaths: true\` at a server whose router tells case, extension and \`:verb\` apart`;
  return { rule: 'lookalike-path', ...yaml.findingAt(template.offset, message, help) };
}
