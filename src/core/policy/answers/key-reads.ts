import type { PathReads, Reads } from './reads.ts';

/**
 * What policies may read, as sorted lines. `context.risk` is read as a whole; `has context.args.x` only tests presence;
 * `context.now against datetime 1767225600000` only compares with that bound; `principal in …` reads ancestors; `everything` is the only
 * line if present. The names of principal, action and resource are part of every key and not listed.
 */
export function readsAsLines({ everything, roots }: Reads): readonly string[] {
  if (everything) return ['everything'];
  return [...roots].flatMap(([name, path]) => linesOfPath(rootName(name), path, true)).sort();
}

const rootName = (name: string): string =>
  name.replace(/^entity (\S+) (.*)$/su, (_all, type, id) => `${type}::${JSON.stringify(id)}`);

function linesOfPath(name: string, path: PathReads, isRoot: boolean): readonly string[] {
  const below = [
    ...[...path.attrs].flatMap(([attr, child]) => linesOfPath(`${name}${accessTo(attr)}`, child, false)),
    ...[...path.tags].flatMap(([tag, child]) => linesOfPath(`${name}.getTag(${JSON.stringify(tag)})`, child, false)),
  ];
  // Variable names are in every key, and an entity literal is constant.
  const isNamed = isRoot && name !== 'context';
  const own = [
    ...(path.whole && !isNamed ? [name] : []),
    ...(path.ancestors ? [`${name} in …`] : []),
    ...(path.allTags ? [`${name}.getTag(…)`] : []),
    ...(path.whole ? [] : boundLines(name, path)),
  ];
  if (own.length > 0 || below.length > 0 || isRoot) return [...own, ...below];
  return [`has ${name}`];
}

const boundLines = (name: string, { bounds }: PathReads): readonly string[] =>
  Object.entries(bounds).flatMap(([kind, set]) =>
    set.size === 0 ? [] : [`${name} against ${kind} ${[...set].sort((left, right) => left - right).join(', ')}`],
  );

const accessTo = (attr: string): string => (/^[A-Za-z_]\w*$/.test(attr) ? `.${attr}` : `[${JSON.stringify(attr)}]`);
