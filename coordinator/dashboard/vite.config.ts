import { defineConfig } from "vite";

// `npm run dev` shows the fleet at UDFLEET_HTTP, such as 127.0.0.1:8816.
const fleet = `http://${process.env.UDFLEET_HTTP ?? "127.0.0.1:8816"}`;

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    proxy: {
      "/api": {
        target: fleet,
        changeOrigin: true,
        // The coordinator takes requests of its own pages only.
        configure: (proxy) => proxy.on("proxyReq", (request) => request.removeHeader("origin")),
      },
    },
  },
});
