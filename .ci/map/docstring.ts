/** The docstring of a file: its first sentence is what the map says of the file. */
import { basename } from 'node:path';

const DOC =
  /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(?:export (?:declare )?(?:abstract )?(?:async )?(function|class|const|interface|type)\*? (\w+))?/g;

/** A sentence ends with a point before the next one, or with the text. */
const SENTENCE = /^.*?(?:\.(?=\s+[A-Z`"'{(])|$)/s;

/** A longer sentence is given up to its first colon or semicolon. */
const LONG = 110;

/**
 * What a file is, in one sentence: of the comment before its imports, if it begins with one; otherwise of its export that is named most like the
 * file, functions and classes before types and constants. `null` if it has neither.
 */
export function sentenceOf(path: string, text: string): string | null {
  const own = /^(?:#![^\n]*\n)?\/\*\*((?:(?!\*\/)[\s\S])*)\*\/(?:\s*(?:import |\/\/)|\n\n)/.exec(text);
  if (own !== null) return firstSentence(own[1] ?? '');
  const words = basename(path, '.ts').split(/[-.]/);
  const exports = [...text.matchAll(DOC)]
    .filter(([, , , symbol]) => symbol !== undefined)
    .map(([, doc = '', kind = '', symbol = '']) => ({ doc, rank: likeness(words, symbol) * 4 + (WEIGHT[kind] ?? 0) }));
  const best = exports.toSorted((a, b) => b.rank - a.rank)[0];
  return best === undefined ? null : firstSentence(best.doc);
}

const WEIGHT: Readonly<Record<string, number>> = { function: 2, class: 2, const: 1 };

/** How many words of a file's name are in the name of an export; one more if there are no others. */
function likeness(words: readonly string[], symbol: string): number {
  const name = symbol.toLowerCase();
  return words.filter((word) => name.includes(word)).length + (name === words.join('') ? 1 : 0);
}

function firstSentence(doc: string): string | null {
  const lines = doc.split('\n').map((line) => line.replace(/^\s*\*/, '').trim());
  const paragraph =
    lines
      .join('\n')
      .trim()
      .split(/\n\n|(?:^|\s)@/)[0] ?? '';
  const sentence = SENTENCE.exec(paragraph.replaceAll('\n', ' '))?.[0] ?? '';
  const part = sentence.length > LONG ? (/^.{30,}?(?=[:;] )/.exec(sentence)?.[0] ?? sentence) : sentence;
  const text = part.trim().replace(/[.:]$/, '');
  return text === '' ? null : text;
}
