import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const src = resolve(import.meta.dirname, '../../src');

/** Where texts and bytes of callers are read before anybody vouches for them: rooms, and single files of others. */
const PLACES = [
  'core/action/',
  'agent/forward/',
  'agent/service/',
  'core/decide/',
  'sidecar/envoy/',
  'sidecar/http2/',
  'core/identity/',
  'authority/issuer/',
  'core/ledger/canonical-json.ts',
  'core/ledger/record.ts',
  'core/ledger/timeline-text.ts',
  'core/protobuf/',
  'core/runtime/edit-distance.ts',
  'core/runtime/without-end.ts',
  'core/token/',
] as const;

/** Types by which a parameter can hold a text, bytes or a value of a caller. */
const TEXTS =
  /\b(?:string|Uint8Array|Buffer|unknown|HttpCall|Headers|JsonRpcMessage|McpTarget|McpReading|PeerFacts|Decoded\w+|DeniedCall|Reader|MadeOf|ArgumentValue|GatedRequest|Form|TokenRequest|Declaration|HeaderField|RequestHead|IncomingMessage|URLSearchParams)\b/;

/**
 * Each exported function, constant function and class of these places that a text can reach, as `room/file.ts name`. Found by its source: a
 * new one is among them as soon as it is written.
 */
export function exportedReaders(): readonly string[] {
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && PLACES.some((place) => path.startsWith(place)))
    .toSorted()
    .flatMap((path) => readersIn(readFileSync(join(src, path), 'utf8')).map((name) => `${path} ${name}`));
}

const EXPORT =
  /^export (?:(?:async )?function\*? (\w+)|const (\w+)(: [^=]*(?:=>[^=]*)?)? =|(?:abstract )?class (\w+))/gm;

function readersIn(text: string): readonly string[] {
  return [...text.matchAll(EXPORT)].flatMap(({ 0: all, 1: called, 2: constant, 3: type, 4: made, index }) => {
    if (made !== undefined) return [made];
    const name = called ?? constant ?? '';
    const after = text.slice(index + all.length);
    if (called === undefined && type !== undefined) return /\bMadeOf\b|=>/.test(type) ? [name] : [];
    const opening = called === undefined ? /^\s*(?:async )?(?:<[^(]*>)?\(/.exec(after) : /^(?:<[^(]*>)?\(/.exec(after);
    return opening !== null && TEXTS.test(insideOf(after.slice(opening[0].length))) ? [name] : [];
  });
}

/** What is between the parentheses of which the first was left out. */
function insideOf(text: string): string {
  let depth = 1;
  let at = 0;
  for (; at < text.length && depth > 0; at += 1)
    depth += '([{'.includes(text.charAt(at)) ? 1 : ')]}'.includes(text.charAt(at)) ? -1 : 0;
  return text.slice(0, at - 1);
}
