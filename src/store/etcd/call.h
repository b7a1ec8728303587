// call.h: one unary gRPC call on a CompletionThread.
#pragma once

#include <grpcpp/support/async_unary_call.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "store/etcd/completion_thread.h"

namespace store {

// Calls `done(status, reply)` on the thread when the call has ended; never when the thread stops before that.
template <typename Stub, typename Request, typename Reply>
class UnaryCall final : public Completion {
 public:
  using Done = std::function<void(const grpc::Status&, Reply&)>;
  using Method = std::unique_ptr<grpc::ClientAsyncResponseReader<Reply>> (Stub::*)(grpc::ClientContext*, const Request&,
                                                                                   grpc::CompletionQueue*);

  static void start(CompletionThread& thread, Stub& stub, Method method, const Request& request, base::Duration timeout,
                    const std::string& token, Done done) {
    auto call = std::unique_ptr<UnaryCall>(new UnaryCall(thread, std::move(done)));
    if (!thread.attach(call->context_)) return;
    call->context_.set_deadline(
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(timeout.count(), GPR_TIMESPAN)));
    if (!token.empty()) call->context_.AddMetadata("token", token);
    call->reader_ = (stub.*method)(&call->context_, request, &thread.queue());
    auto* raw = call.release();  // complete() takes it back
    raw->reader_->Finish(&raw->reply_, &raw->status_, raw);
  }

  void complete(bool) override {
    const std::unique_ptr<UnaryCall> self(this);
    if (!thread_.stopping()) done_(status_, reply_);
    thread_.detach(context_);
  }

 private:
  UnaryCall(CompletionThread& thread, Done done) : thread_(thread), done_(std::move(done)) {}

  CompletionThread& thread_;
  Done done_;
  grpc::ClientContext context_;
  Reply reply_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Reply>> reader_;
};

template <typename Stub, typename Request, typename Reply>
void start_call(CompletionThread& thread, Stub& stub,
                std::unique_ptr<grpc::ClientAsyncResponseReader<Reply>> (Stub::*method)(grpc::ClientContext*,
                                                                                        const Request&,
                                                                                        grpc::CompletionQueue*),
                const Request& request, base::Duration timeout, const std::string& token,
                typename UnaryCall<Stub, Request, Reply>::Done done) {
  UnaryCall<Stub, Request, Reply>::start(thread, stub, method, request, timeout, token, std::move(done));
}

}  // namespace store
