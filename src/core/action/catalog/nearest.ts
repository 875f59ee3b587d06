import { changesWithin } from '../../runtime/edit-distance.ts';

/**
 * The id of which a text is probably a misspelling: letter case aside, at most a quarter of its characters and at most three
 * differ, counting a swap of neighbours as one difference. `null` if none is so near. Of several equally near ids, the first.
 *
 * Bounded, since callers choose the text: a text or id of more than 128 characters is near to nothing, at most 4,096 ids are
 * compared, and only as far as they can still be near.
 */
export function nearestId(text: string, ids: Iterable<string>): string | null {
  if (text.length > MAX_CHARACTERS) return null;
  const asked = text.toLowerCase();
  let within = Math.min(MAX_CHANGES, Math.floor(asked.length / 4));
  let best: string | null = null;
  let compared = 0;
  for (const id of ids) {
    compared += 1;
    if (within < 0 || compared > MAX_IDS) break;
    if (id.length > MAX_CHARACTERS) continue;
    const changes = changesWithin(asked, id.toLowerCase(), within);
    if (changes === null) continue;
    best = id;
    within = changes - 1;
  }
  return best;
}

const MAX_CHARACTERS = 128;
const MAX_CHANGES = 3;
const MAX_IDS = 4_096;
