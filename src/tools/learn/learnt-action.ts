import type { Risk } from '../../core/action/catalog/catalog-head.ts';
import type { Entry } from '../policy/import/entry.ts';
import type { SeenCalls } from './seen-calls.ts';

/** The part of a server's entry that an action is written in. `session` is written nowhere: each MCP server has one. */
export type EntrySection = 'routes' | 'tools' | 'resources' | 'prompts' | 'session' | 'grpc' | 'send' | 'methods';

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
  /** Whether its entry is that of an API description, and not a guess. */
  readonly isDescribed: boolean;
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
  readonly actions: readonly LearntAction[];
}

/** The audience of a server: what its tokens are for. */
export const serverAudience = ({ host, path }: Pick<LearntServer, 'host' | 'path'>): string =>
  `https://${host}${path ?? ''}`;
