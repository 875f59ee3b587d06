import type { Risk } from '../../core/action/catalog/catalog-head.ts';
import type { Server } from '../../core/action/catalog/catalog.ts';
import type { KnownCalls } from './beside/known-calls.ts';
import type { Entry } from '../policy/import/entry.ts';
import type { SeenCalls } from './seen/seen-calls.ts';

/**
 * The part of a server's entry that an action is written in. `session` is not written, because each MCP server has one. `known`
 * is an action of the existing catalog, which is not written again.
 */
export type EntrySection =
  'routes' | 'tools' | 'resources' | 'prompts' | 'session' | 'grpc' | 'send' | 'methods' | 'known';

/** An action that calls showed. */
export interface LearntAction {
  readonly id: string;
  readonly server: string;
  readonly section: EntrySection;
  /** The key of its entry: the tool, the A2A method, `package.Service/Method`; of a route `GET /orders/{order:int}`. */
  readonly name: string;
  readonly risk: Risk;
  readonly calls: SeenCalls;
  /** What the catalog says of it, without the name. */
  readonly entry: Entry;
  /** Why its entry is a comment, for a person to decide; `null` if it is in force. */
  readonly undecided: string | null;
  /** Why each permit of it is a comment, although its entry is in force; absent if nothing speaks against it. */
  readonly doubt?: string;
  /** Whether its entry is that of an API description, and not a guess. */
  readonly isDescribed: boolean;
  /** For an action of the existing catalog: how the existing policies answer its calls. Absent otherwise. */
  readonly known?: KnownCalls;
}

/** A server that calls showed. */
export interface LearntServer {
  readonly id: string;
  readonly host: string;
  /** The only path of a further MCP server or A2A agent of a host; `null` for the server of all other paths. */
  readonly path: string | null;
  readonly mcpPath: string | null;
  readonly a2aPath: string | null;
  /** The file of its descriptor set, beside the catalog; `null` for none. */
  readonly descriptorSet: string | null;
  /** The server of the existing catalog to whose entry these actions are added; `null` for a new server. */
  readonly known: Server | null;
  readonly actions: readonly LearntAction[];
}

/** The audience of a server: what its tokens are for. */
export const serverAudience = ({ host, path, known }: Pick<LearntServer, 'host' | 'path' | 'known'>): string =>
  known?.audience ?? `https://${host}${path ?? ''}`;
