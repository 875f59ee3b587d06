import { isMap, isScalar, isSeq, parseDocument, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { Document } from 'yaml';
import { LINEAR } from '../../../core/runtime/yaml-text.ts';
import { blockLines, catalogLines, serverBlock } from '../catalog-text.ts';
import type { CatalogBlock, CatalogLine } from '../catalog-text.ts';
import type { LearntServer } from '../learnt-action.ts';

/**
 * The lines of a catalog file with the learnt servers merged in: new servers at its end, new entries at the end of the lists of
 * an existing server. Existing entries and comments stay as they are, and their lines name no learnt action. The value of an
 * existing key is not overwritten.
 */
export function mergedLines(text: string, servers: readonly LearntServer[]): readonly CatalogLine[] {
  const document = parseDocument(text, LINEAR);
  const map = document.get('servers', true);
  if (!isMap(map)) return catalogLines(servers);
  const marks = new Marks(text);
  for (const server of servers) put(map, serverBlock(server), { document, marks, depth: 1, server: server.id });
  const written = document.toString({ lineWidth: 0 });
  return written
    .replace(/\n$/, '')
    .split('\n')
    .flatMap((line) => marks.linesFor(line));
}

/** The ids of the servers of a file of the catalog. */
export function serverIdsIn(text: string): readonly string[] {
  const map = parseDocument(text, LINEAR).get('servers', true);
  return isMap(map) ? map.items.flatMap(({ key }) => (isScalar(key) ? [String(key.value)] : [])) : [];
}

/** Placeholders for learnt lines while the YAML library writes the file. The text of the file contains no placeholder. */
class Marks {
  readonly #word: string;
  readonly #lines: (readonly CatalogLine[])[] = [];

  constructor(text: string) {
    let word = 'remit-learnt';
    while (text.includes(word)) word += '-x';
    this.#word = word;
  }

  /** The word for some lines. */
  add(lines: readonly CatalogLine[]): string {
    this.#lines.push(lines);
    return `${this.#word}-${this.#lines.length - 1}`;
  }

  /** The lines that a line stands for, or itself. */
  linesFor(line: string): readonly CatalogLine[] {
    const found = /^ *(?:- )?([a-z-]+)-([0-9]+)(?::.*)?$/.exec(line);
    const lines = found?.[1] === this.#word ? this.#lines[Number(found[2])] : undefined;
    return lines ?? [{ text: line, action: null, server: null }];
  }
}

interface Putting {
  readonly document: Document;
  readonly marks: Marks;
  /** Indentation depth of the keys of the mapping that the block is put into. */
  readonly depth: number;
  readonly server: string;
}

/** Puts a block into a mapping: inside the value of its key if the mapping has that, otherwise as a whole. */
function put(map: YAMLMap, block: CatalogBlock, { document, marks, depth, server }: Putting): void {
  const { key, inside } = block;
  const pair = map.items.find((one) => isScalar(one.key) && one.key.value === key);
  if (pair === undefined) {
    map.flow = false;
    map.add(document.createPair(marks.add(blockLines(block, { depth, server })), null));
    return;
  }
  if (inside.length === 0) return;
  map.flow = false;
  if (inside.every((one) => one.key === null)) {
    const list = isSeq(pair.value) ? pair.value : new YAMLSeq();
    pair.value = list;
    list.flow = false;
    list.items.push(new Scalar(marks.add(inside.flatMap((one) => blockLines(one, { depth: depth + 1, server })))));
    return;
  }
  const below = isMap(pair.value) ? pair.value : new YAMLMap();
  pair.value = below;
  for (const one of inside) put(below, one, { document, marks, depth: depth + 1, server });
}
