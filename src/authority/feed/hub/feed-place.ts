import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { AuthorityEngine } from '../engine.ts';

/** A position of the feed, with the mark by which a sidecar can later prove that it had it; `''` if there is none. */
export interface FeedPlace {
  readonly seq: number;
  readonly mark: string;
}

/** The end of the feed now. */
export async function feedPlaceOf({
  head,
  proofs,
}: Pick<AuthorityEngine, 'head' | 'proofs'>): Promise<FeedPlace | StoreFailure> {
  const seq = await head();
  if (isStoreFailure(seq)) return seq;
  const mark = proofs === undefined ? '' : await proofs.markOf(seq);
  return isStoreFailure(mark) ? mark : { seq, mark };
}
