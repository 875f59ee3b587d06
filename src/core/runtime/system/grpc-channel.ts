/**
 * Options of every gRPC client here. The caller retries, since only it knows how long that is useful. A name is looked up again for each
 * new connection: a pod that was restarted has another address, and gRPC by default looks it up at most every 30 s.
 *
 * INVARIANT: a channel belongs to one client, so that closing the client closes its connection.
 */
export const CHANNEL = {
  'grpc.dns_min_time_between_resolutions_ms': 100,
  'grpc.enable_channelz': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
} as const;
