// A miniflare plugin that opens one more socket straight into the worker.
//
// miniflare's own `unsafeDirectSockets` would do, but it names a header that carries `request.cf`, and with one named,
// workerd no longer tells the peer's address (and believes whoever sends that header). A plain socket does tell it, as
// `request.cf.clientIp`.
export const plugins = {
    socket: {
        sharedOptions: undefined,
        getBindings: () => [],
        getNodeBindings: () => ({}),
        getServices({ options }) {
            const socket = options.config.env?.SOCKET?.dev?.options;
            if (!socket) return [];
            const service = { name: `core:user:${options.config.name}` };
            return {
                services: [],
                extensions: [],
                sockets: [{ name: `front:${options.config.name}`, address: `127.0.0.1:${socket.port}`, service, http: {} }],
            };
        },
    },
};
