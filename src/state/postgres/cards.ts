import { isStoreFailure } from '../../sqlite/store-failure.ts';
import type { StoreFailure } from '../../sqlite/store-failure.ts';
import { noHistory } from '../../task/history.ts';
import { isStorable } from '../stored-text.ts';
import type { TaskKey, UseState } from '../store.ts';
import { taskFrom } from '../task-row.ts';
import type { Database } from './database.ts';
import type { FeedHead } from './postgres-feed.ts';
import { historyFrom, tokenFrom } from './rows-read.ts';

/** A token of a task, to be looked up. */
export interface AskedToken {
  readonly key: TaskKey;
  readonly jtiDigest: string;
}

/** The state of a use, with the id of the root task. */
export interface RootedState extends UseState {
  readonly root: string;
}

/** States as they were at one head of the feed, in the order asked for; `null` where there is no such task. */
export interface CardsAtHead {
  readonly head: FeedHead;
  readonly states: readonly (RootedState | null)[];
}

/** Looks up the states of tokens on the primary. */
export type UseStateCards = (tokens: readonly AskedToken[]) => Promise<CardsAtHead | StoreFailure>;

/** One statement, and so one snapshot: the head counts every commit that the states show, and no other. */
const CARDS = `SELECT h.epoch::text AS epoch, h.seq, to_json(t) AS task, to_json(o) AS token, to_json(y) AS history
  FROM remit.feed_head h LEFT JOIN unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY k (issuer, id, jti_digest, n) ON true
  LEFT JOIN remit.tasks t ON t.issuer = k.issuer AND t.id = k.id
  LEFT JOIN remit.tokens o ON o.jti_digest = k.jti_digest AND o.issuer = t.issuer AND o.task = t.id
  LEFT JOIN remit.histories y ON y.issuer = t.issuer AND y.task = t.root
  WHERE h.part = 0 ORDER BY k.n`;

/** The states of tokens, of one snapshot. Text that is never stored names no task. */
export async function cardsOf(database: Database, tokens: readonly AskedToken[]): Promise<CardsAtHead | StoreFailure> {
  const asked = tokens.map((token) => [token.key.issuer, token.key.id, token.jtiDigest].map(storableOr));
  const columns = [0, 1, 2].map((column) => asked.map((texts) => texts[column]));
  const result = await database.read(CARDS, columns);
  if (isStoreFailure(result)) return result;
  const [first] = result.rows;
  const head = { epoch: String(first?.['epoch'] ?? ''), seq: Number(first?.['seq'] ?? 0) };
  return { head, states: tokens.length === 0 ? [] : result.rows.map(stateFrom) };
}

const storableOr = (text: string): string => (isStorable(text) ? text : '');

type Row = Readonly<Record<string, unknown>>;

function stateFrom({ task, token, history }: Row): RootedState | null {
  if (task === null) return null;
  // JSON of rows.
  const row = task as Row;
  return {
    task: taskFrom(row),
    root: String(row['root']),
    issued: token === null ? undefined : tokenFrom(token as Row),
    history: history === null ? noHistory : historyFrom(history as Row),
  };
}
