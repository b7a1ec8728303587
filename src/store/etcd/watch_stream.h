// watch_stream.h: one etcd watch stream with a watch per key range. Only on the CompletionThread.
#pragma once

#include <grpcpp/support/async_stream.h>

#include <functional>
#include <memory>
#include <vector>

#include "store/etcd/connection.h"

namespace store {

class WatchStream final : public std::enable_shared_from_this<WatchStream> {
 public:
  struct Handlers {
    std::function<void(etcdserverpb::WatchResponse&)> response;
    std::function<void(const grpc::Status&)> ended;  // the last call; not after close()
  };

  // The watches are created one after the other, in the order given, and answered in that order.
  WatchStream(CompletionThread& thread, LinkPtr link, std::vector<etcdserverpb::WatchCreateRequest> watches,
              Handlers handlers);

  void open();
  // No handler is called afterwards. May be called from a handler.
  void close();

 private:
  class Step final : public Completion {
   public:
    using Handler = void (WatchStream::*)(bool);
    Step(WatchStream& stream, Handler handler) : stream_(stream), handler_(handler) {}
    void complete(bool ok) override { (stream_.*handler_)(ok); }

   private:
    WatchStream& stream_;
    Handler handler_;
  };

  void opened(bool ok);
  void read();
  void was_read(bool ok);
  void write_next();
  void was_written(bool ok);
  void finish_when_quiet();
  void finished(bool ok);

  CompletionThread& thread_;
  LinkPtr link_;
  std::vector<etcdserverpb::WatchCreateRequest> watches_;
  Handlers handlers_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<etcdserverpb::WatchRequest, etcdserverpb::WatchResponse>> stream_;
  etcdserverpb::WatchRequest request_;
  etcdserverpb::WatchResponse response_;
  grpc::Status status_;
  std::size_t written_ = 0;
  bool closed_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool finishing_ = false;
  Step opened_{*this, &WatchStream::opened};
  Step was_read_{*this, &WatchStream::was_read};
  Step was_written_{*this, &WatchStream::was_written};
  Step finished_{*this, &WatchStream::finished};
  std::shared_ptr<WatchStream> self_;  // while gRPC may call back
};

}  // namespace store
