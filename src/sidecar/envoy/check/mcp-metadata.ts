/** What the MCP filter of the proxy reports of a message, in filter metadata. */
import type { McpReading, McpScalar } from '../../../core/action/mcp/mcp-reading.ts';

/** Filter metadata by namespace. */
export type DecodedMetadata = Readonly<Record<string, DecodedStruct>>;

/** A `google.protobuf.Struct`. */
export interface DecodedStruct {
  readonly fields?: Readonly<Record<string, DecodedValue>>;
}

/** A `google.protobuf.Value`: at most one member is set. */
export interface DecodedValue {
  readonly nullValue?: unknown;
  readonly numberValue?: number;
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly structValue?: DecodedStruct;
  readonly listValue?: unknown;
}

/**
 * The namespaces of `envoy.filters.http.mcp`: `EARLY` is that of Envoy 1.37, which does not say whether a request is MCP; later
 * versions use the name of the filter.
 */
const EARLY = 'mcp_proxy';
const NAMESPACES = ['envoy.filters.http.mcp', EARLY] as const;

/** The namespaces that are read. */
export const MCP_NAMESPACES: ReadonlySet<string> = new Set(NAMESPACES);

const ENVELOPE = new Set(['jsonrpc', 'id', 'method']);

/**
 * The readings of Envoy’s MCP filter, one per namespace present; none without the filter, or for a request it ignores.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/mcp_filter
 */
export const mcpReadingsFrom = (metadata: DecodedMetadata | undefined): readonly McpReading[] =>
  metadata === undefined
    ? []
    : NAMESPACES.filter((name) => Object.hasOwn(metadata, name)).map((name) =>
        readingFrom(metadata[name], name === EARLY),
      );

function readingFrom(struct: DecodedStruct | undefined, isEarly: boolean): McpReading {
  const fields = fieldsOf(struct);
  const isMcp = fields.get('is_mcp_request');
  const isCut = fields.get('is_exceeding_limit');
  const status = wordOf(fields.get('status'));
  const params = fieldsOf(fields.get('params')?.structValue);
  return {
    isMcp: isMcp === undefined ? isEarly : isMcp.boolValue === true,
    isCut: isCut !== undefined && isCut.boolValue !== false,
    fault: status === null || status === 'mcp_ok' ? wordOf(fields.get('passthrough_reason')) : status,
    envelope: scalarsOf(new Map([...fields].filter(([name]) => ENVELOPE.has(name)))),
    params: scalarsOf(params),
    ref: scalarsOf(fieldsOf(params.get('ref')?.structValue)),
  };
}

const fieldsOf = (struct: DecodedStruct | undefined): ReadonlyMap<string, DecodedValue> =>
  new Map(Object.entries(struct?.fields ?? {}));

/** A word of the filter; an unknown value becomes an unknown word. */
function wordOf(value: DecodedValue | undefined): string | null {
  if (value === undefined) return null;
  return /^[a-z_]{1,64}$/.exec(value.stringValue ?? '')?.[0] ?? 'unknown';
}

function scalarsOf(fields: ReadonlyMap<string, DecodedValue>): ReadonlyMap<string, McpScalar> {
  const scalars = new Map<string, McpScalar>();
  for (const [name, { structValue, listValue, ...value }] of fields) {
    if (structValue !== undefined || listValue !== undefined) continue;
    scalars.set(name, value.stringValue ?? value.numberValue ?? value.boolValue ?? null);
  }
  return scalars;
}
