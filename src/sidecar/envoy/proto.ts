/** Names of the services and messages of Envoy that Remit speaks. */

/** Full name of the service Envoy calls; also its name in the gRPC health service. */
export const AUTHORIZATION_SERVICE = 'envoy.service.auth.v3.Authorization';

/** HTTP/2 path of its only method. */
export const CHECK_PATH = `/${AUTHORIZATION_SERVICE}/Check`;

/** HTTP/2 path of the only method of the access log service. */
export const ACCESS_LOG_PATH = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
