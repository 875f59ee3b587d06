/** The name of a call that its check and its access log entry both give. */

/** When a call began, as protobuf has it: seconds since the Unix epoch and nanoseconds. */
export interface BeganAt {
  readonly seconds: number;
  readonly nanos: number;
}

/**
 * The name of a call that both its check and its entry in the access log give: when Envoy received its first byte, and over which connection.
 * Both come from Envoy, so that no client can give its call the name of another call, as it can with `x-request-id`. Two streams of a
 * connection that began in the same nanosecond have the same name. `null` if Envoy does not send all of it.
 */
export function callNameOf(
  { seconds = 0, nanos = 0 }: Partial<BeganAt>,
  { address, port }: { readonly address: string; readonly port: number },
): string | null {
  return seconds <= 0 || address === '' || port <= 0 ? null : `${seconds}.${nanos} ${address} ${port}`;
}
