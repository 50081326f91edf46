// Package rpc is the service's door for Connect, gRPC and gRPC-Web: notes.v1
// over the same use cases as the HTTP one.
package rpc

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	notesv1 "example.com/goldenpath/service/api/gen/notes/v1"
	"example.com/goldenpath/service/api/gen/notes/v1/notesv1connect"
	domain "example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/interface/cursor"
	"example.com/goldenpath/service/internal/usecase/note"
)

// maxMessage bounds a message after decompression, where the limit on the body
// does not see.
const maxMessage = 1 << 20

// Door answers the procedures of notes.v1.NotesService.
type Door struct {
	// Routes are the paths of the procedures.
	Routes  []string
	Handler http.Handler

	writer *connect.ErrorWriter
	log    *zap.Logger
}

// New returns the door to the use cases.
func New(notes *note.Notes, log *zap.Logger) *Door {
	options := []connect.HandlerOption{
		connect.WithInterceptors(connect.UnaryInterceptorFunc(translated(log))),
		connect.WithReadMaxBytes(maxMessage),
	}
	_, handler := notesv1connect.NewNotesServiceHandler(&service{notes: notes}, options...)
	return &Door{
		Routes: []string{
			notesv1connect.NotesServiceCreateNoteProcedure,
			notesv1connect.NotesServiceGetNoteProcedure,
			notesv1connect.NotesServiceListNotesProcedure,
			notesv1connect.NotesServiceUpdateNoteProcedure,
			notesv1connect.NotesServiceDeleteNoteProcedure,
		},
		Handler: handler,
		writer:  connect.NewErrorWriter(options...),
		log:     log,
	}
}

// service implements the generated interface. Errors are plain problems; the
// interceptor puts them into Connect's words.
type service struct{ notes *note.Notes }

var _ notesv1connect.NotesServiceHandler = (*service)(nil)

func (s *service) CreateNote(ctx context.Context, r *connect.Request[notesv1.CreateNoteRequest]) (*connect.Response[notesv1.CreateNoteResponse], error) {
	n, err := s.notes.Create(ctx, r.Msg.GetTitle(), r.Msg.GetBody())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&notesv1.CreateNoteResponse{Note: show(n)}), nil
}

func (s *service) GetNote(ctx context.Context, r *connect.Request[notesv1.GetNoteRequest]) (*connect.Response[notesv1.GetNoteResponse], error) {
	id, err := domain.ParseID(r.Msg.GetId())
	if err != nil {
		return nil, err
	}
	n, err := s.notes.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&notesv1.GetNoteResponse{Note: show(n)}), nil
}

func (s *service) ListNotes(ctx context.Context, r *connect.Request[notesv1.ListNotesRequest]) (*connect.Response[notesv1.ListNotesResponse], error) {
	after, err := cursor.Decode(r.Msg.GetCursor())
	if err != nil {
		return nil, err
	}
	notes, next, err := s.notes.List(ctx, after, int(r.Msg.GetLimit()))
	if err != nil {
		return nil, err
	}
	shown := make([]*notesv1.Note, len(notes))
	for i, n := range notes {
		shown[i] = show(n)
	}
	return connect.NewResponse(&notesv1.ListNotesResponse{Notes: shown, NextCursor: cursor.Encode(next)}), nil
}

func (s *service) UpdateNote(ctx context.Context, r *connect.Request[notesv1.UpdateNoteRequest]) (*connect.Response[notesv1.UpdateNoteResponse], error) {
	id, err := domain.ParseID(r.Msg.GetId())
	if err != nil {
		return nil, err
	}
	if r.Msg.Title == nil && r.Msg.Body == nil {
		return nil, problem.New(problem.ValidationFailed, "the change is empty", "set title, body or both")
	}
	n, err := s.notes.Update(ctx, id, r.Msg.Title, r.Msg.Body)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&notesv1.UpdateNoteResponse{Note: show(n)}), nil
}

func (s *service) DeleteNote(ctx context.Context, r *connect.Request[notesv1.DeleteNoteRequest]) (*connect.Response[notesv1.DeleteNoteResponse], error) {
	id, err := domain.ParseID(r.Msg.GetId())
	if err != nil {
		return nil, err
	}
	if err := s.notes.Delete(ctx, id); err != nil {
		return nil, err
	}
	return connect.NewResponse(&notesv1.DeleteNoteResponse{Id: string(id)}), nil
}

func show(n domain.Note) *notesv1.Note {
	shown := &notesv1.Note{
		Id:        string(n.ID),
		Title:     n.Title,
		Body:      n.Body,
		CreatedAt: timestamppb.New(n.CreatedAt),
		UpdatedAt: timestamppb.New(n.UpdatedAt),
	}
	if n.WordCount != nil {
		words := int32(*n.WordCount) // a body has at most 20000 characters
		shown.WordCount = &words
	}
	return shown
}
