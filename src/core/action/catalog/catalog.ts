import type { Attributes } from './attributes.ts';
import type { BodyRule } from '../http/body.ts';
import type { ArgumentSpec } from './catalog-arguments.ts';
import type { Carries } from './catalog-carries.ts';
import type { CatalogRemark } from './catalog-remarks.ts';
import type { Defaults, Risk } from './catalog-head.ts';
import type { DenialStyle } from '../denial-style.ts';
import type { MessageType } from '../grpc/protobuf/descriptor-set.ts';
import type { MessageShape } from '../grpc/protobuf/message-shape.ts';
import type { ParameterType } from './parameter-type.ts';
import type { ServerMatch } from './server-table.ts';
import type { TimeZones } from './time-zones.ts';
import type { SubjectAttributeTypes } from './subject-attribute-types.ts';

export type { ArgumentSpec } from './catalog-arguments.ts';
export type { CredentialKind, Risk } from './catalog-head.ts';

/** A downstream server of the catalog. */
export interface Server {
  readonly id: string;
  /** Lower case, without port. Servers that share a host differ in their paths. */
  readonly hosts: ReadonlySet<string>;
  /** Path prefixes of its own on its hosts, such as `/crm`; empty if it has all paths that no other server claims. */
  readonly paths: readonly string[];
  /** The resource URI its tokens are issued for. Unique, even ignoring letter case and a trailing slash. */
  readonly audience: string;
  /** The URL prefix callers use: the audience, without a suffix that is in `paths`. */
  readonly externalUrl: string;
  /** Whether calls to it carry a transaction token, so that services behind it know the task. */
  readonly transactionToken: boolean;
  /**
   * Whether its router is as exact as Remit about letter case, text after a dot or colon, and trailing slashes. If it is not, a parameter
   * must not match a lookalike of another route's text.
   */
  readonly exactPaths: boolean;
  /** Attributes of `resource` for policies. */
  readonly attributes: Attributes;
}

/** The protocol of an action. */
export type ActionKind = 'http' | 'mcp' | 'grpc' | 'a2a';

/** An action of the catalog. */
export interface CatalogAction extends Defaults {
  readonly id: string;
  readonly kind: ActionKind;
  readonly risk: Risk;
  readonly server: Server;
  readonly method: string;
  /** `/v1/payments/{id}` */
  readonly template: string;
  /** `GET /v1/payments/{id}`, `/mcp tools/create_ticket`; unique per server. */
  readonly endpoint: string;
  /** Whether it only opens, keeps or lists a session, which any task at the server may do. */
  readonly isSession: boolean;
  /** Path parameters by name: segment index and type. */
  readonly parameters: ReadonlyMap<string, { readonly index: number; readonly type: ParameterType }>;
  readonly args: readonly ArgumentSpec[];
  /** Whether a call may have arguments besides `args`, which are not read. */
  readonly takesOthers: boolean;
  /** Whether nothing that the catalog does not name may come with a call: it is of high risk, or says `otherArguments: deny`. */
  readonly isClosed: boolean;
  /** What a call may carry beside its arguments; nothing for kinds other than MCP. Its arguments are in `args` too. */
  readonly carries: Carries;
  /** The arguments whose values are recorded with each use, by name, with the names on the path to each; at most 8. */
  readonly recorded: ReadonlyMap<string, readonly string[]>;
  /** The body rule of an HTTP route; `unstated` for other kinds. */
  readonly body: BodyRule;
  /** The fields a gRPC method's arguments are read from; `null` if it has none, and for other kinds. */
  readonly message: MessageShape | null;
  /** The message type of a gRPC method; `null` without a descriptor set, and for other kinds. */
  readonly input: MessageType | null;
}

/** An MCP server of the catalog. */
export interface McpServer {
  /** `/mcp`, without parameters. */
  readonly path: string;
  /** Tools by exact name. Argument pointers start at `params.arguments`. */
  readonly tools: ReadonlyMap<string, CatalogAction>;
  /** The pins of tools by name: digests of the definitions that were reviewed. */
  readonly pins: ReadonlyMap<string, string>;
  /** `initialize`, `ping`, notifications, lists, streams and session end: `<server>.mcp.session`. */
  readonly session: CatalogAction;
  /** `null` if the catalog has none. Its first argument is `uri`. */
  readonly resources: CatalogAction | null;
  /** `null` if the catalog has none. Its first argument is `name`. */
  readonly prompts: CatalogAction | null;
  /** The client's folders, which the server requests outside of any call; `null` if the catalog has none. Its argument is `roots`. */
  readonly roots: CatalogAction | null;
  /** The action for everything else; `null` if that is `action.unknown`. */
  readonly other: CatalogAction | null;
  /** Keys of `_meta` that any call may have, unread. */
  readonly meta: ReadonlySet<string>;
  /** Keys that the query of the URL may have, unread. */
  readonly query: ReadonlySet<string>;
  /** The actions whose calls the server may ask back about, or keep as tasks, by id. */
  readonly asking: ReadonlyMap<string, CatalogAction>;
  /** Whether all of its actions are of low risk. */
  readonly isLowRisk: boolean;
  /** Whether the forwarder adds the limits of a task to the descriptions of its tools. */
  readonly describesLimits: boolean;
  readonly denials: DenialStyle;
}

/** An A2A agent of the catalog. */
export interface A2aAgent {
  /** `/a2a`, without parameters. */
  readonly path: string;
  /** Actions by exact JSON-RPC method. Argument pointers start at `params`. */
  readonly methods: ReadonlyMap<string, CatalogAction>;
  readonly denials: Exclude<DenialStyle, 'result' | 'text'>;
}

/** The route that a method and a path match. */
export type RouteTarget =
  | { readonly kind: 'http'; readonly action: CatalogAction }
  | { readonly kind: 'grpc'; readonly action: CatalogAction }
  | { readonly kind: 'mcp'; readonly mcp: McpServer }
  | { readonly kind: 'a2a'; readonly a2a: A2aAgent }
  /** The parameter of a route would match a lookalike of another route's text, `of`. */
  | { readonly kind: 'lookalike'; readonly action: CatalogAction; readonly of: string };

/** The action catalog: every action there is. Anything else is `action.unknown`. */
export interface Catalog {
  readonly servers: ReadonlyMap<string, Server>;
  readonly actions: ReadonlyMap<string, CatalogAction>;
  /** The server for a host (lower case, without port) and the decoded segments of a path. */
  readonly serverAt: (host: string, segments: readonly string[]) => ServerMatch<Server>;
  readonly serversByAudience: ReadonlyMap<string, Server>;
  /** All audiences of the catalog. */
  readonly audiences: ReadonlySet<string>;
  /** Time zones whose local time policies can read; empty if the file names none. */
  readonly timeZones: TimeZones;
  /** Attributes of a task's subject that policies can read; empty if the file names none. */
  readonly subjectAttributes: SubjectAttributeTypes;
  /** In reading order. */
  readonly remarks: readonly CatalogRemark[];
  /** The route of a server for a method and path segments. */
  readonly find: (server: Server, method: string, segments: readonly string[]) => RouteTarget | undefined;
}
