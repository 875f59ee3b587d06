/** Full name of the service Envoy asks; also its name for the gRPC health service. */
export const AUTHORIZATION_SERVICE = 'envoy.service.auth.v3.Authorization';

/** The HTTP/2 path of its one method. */
export const CHECK_PATH = `/${AUTHORIZATION_SERVICE}/Check`;

/** The HTTP/2 path of the one method of the access log service. */
export const ACCESS_LOG_PATH = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
